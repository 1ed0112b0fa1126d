"""Policies on recorded load: ours beside every rival, and what they cost."""
