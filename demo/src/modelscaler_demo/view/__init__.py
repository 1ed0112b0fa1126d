"""What the demo shows while it runs: a live screen, or plain lines where there is no terminal."""
