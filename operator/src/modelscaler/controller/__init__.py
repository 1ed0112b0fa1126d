"""The loop that joins observe, forecast, plan, render and apply, and everything that must be alive around it."""
