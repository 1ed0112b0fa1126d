"""Computing one batch, wherever it is done: what executors take and give, the four steps over a batch, the warm-up."""
