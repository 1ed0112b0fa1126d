"""An open-loop load generator that talks to a Service's ready pods as a gateway would, and counts everything."""
