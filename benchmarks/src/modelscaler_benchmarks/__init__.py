"""Benchmarks: the same work for us and for everyone else, in one run, as ratios."""
