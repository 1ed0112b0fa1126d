"""The policies that a replay compares: ours, which is the production code, and its rivals."""
