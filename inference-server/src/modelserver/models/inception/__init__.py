"""A classifier of Inception type that can be split: each stage is computed by a process or a pod of its own."""
