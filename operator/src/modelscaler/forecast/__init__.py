"""Forecasts of offered load as quantiles: naive baselines, a learned model, and the online choice between them.

Everything but the process that trains (`training`) is pure: no I/O, no clock, `now` and random generators are passed in.
"""
