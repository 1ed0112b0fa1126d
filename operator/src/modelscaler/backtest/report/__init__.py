"""What a backtest found: for a terminal, as JSON, as CSV, as pictures and as a page."""
