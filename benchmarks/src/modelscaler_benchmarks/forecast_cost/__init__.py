"""What forecasts of a large fleet cost: time by part, and memory."""
