"""Open Inference Protocol v2 on the wire: bytes to checked requests, answers to bytes. Pure."""
