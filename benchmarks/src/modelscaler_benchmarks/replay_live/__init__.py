"""The replay beside a live local cluster, on the same load."""
