"""Forecasters to compare with: one model per trace, refitted as time goes on. Not what the operator runs."""
