"""Measure one running server, and keep what was measured as a capacity profile."""
