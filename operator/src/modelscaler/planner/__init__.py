"""Choose replicas x placement x variant, say why, and take the next safe step there. Pure."""
