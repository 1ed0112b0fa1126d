"""Replay a recorded load against a simulated fleet: the same planner that runs in the cluster, and its rivals."""
