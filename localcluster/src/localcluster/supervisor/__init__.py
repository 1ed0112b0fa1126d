"""The process that owns a cluster: it starts everything, plays kubelet, and takes everything down with it."""
