"""What it costs to share accelerators out among many ModelDeployments: time by case."""
