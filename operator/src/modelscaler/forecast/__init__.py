"""Forecasts of offered load as quantiles: rules, a network that all series share, and the online mix of them.

Everything but what reads and keeps weights (`networks`) and runs trainings (`training`, `learning`) is pure: no I/O, no clock,
`now` and random generators are passed in.
"""
