"""Turns a customer's message into a vector that lies near those of messages that mean the same."""
