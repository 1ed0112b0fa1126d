"""The HTTP server around a model: protocol, queue, compute thread, health, metrics, lame duck."""
