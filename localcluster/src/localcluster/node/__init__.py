"""The node agent: plays kubelet for the nodes it registers, and runs pods as local processes."""
