"""What plans for a large fleet cost: time by case."""
