"""Bursts beyond capacity, with a ladder of variants and without."""
