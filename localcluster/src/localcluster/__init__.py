"""A real Kubernetes control plane as local processes, with a node agent that runs pods as processes."""
