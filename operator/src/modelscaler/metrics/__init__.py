"""Live load and latency of the whole fleet; the only place with PromQL."""
