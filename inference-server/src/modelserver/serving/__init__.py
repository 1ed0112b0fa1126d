"""The HTTP server around an engine: connections, paths, health, metrics, diagnosis, admin, lame duck, several fronts."""
