"""Forecasts of recorded load beside rivals that are not run-time dependencies."""
