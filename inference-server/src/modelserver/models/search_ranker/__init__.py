"""The built-in search ranker: scores catalogue items for a search query."""
