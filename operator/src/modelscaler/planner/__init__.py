"""Replicas, placement and variant, chosen together, and the next safe step there. Pure.

`plan.plan` says what is wanted and why; `transition.next_step` says what to do about it now. Read them first.
"""
