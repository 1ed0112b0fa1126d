"""From the start of a process to ready, for the search ranker."""
