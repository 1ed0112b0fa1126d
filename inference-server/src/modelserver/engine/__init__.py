"""From a checked request to an answer: queue, reflex, executors. `Engine` is the in-process API."""
