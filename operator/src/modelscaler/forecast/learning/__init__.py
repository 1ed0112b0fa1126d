"""How the global model comes about: the load it learns from, and its training. Nothing that serves imports this package."""
