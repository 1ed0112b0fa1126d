"""What a demo run comes to: figures, a plot, and a page to keep."""
