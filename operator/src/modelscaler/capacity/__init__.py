"""What one replica carries within the latency objective. Pure."""
