"""The models that come with the server, and the generic one that serves anybody's weights."""
