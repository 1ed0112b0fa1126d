"""Self-tuning: which settings a ModelDeployment's own history recommends, by the same code in the operator and in `replay`."""
