"""What generated load looks like: a gallery, and the spread of its statistics."""
