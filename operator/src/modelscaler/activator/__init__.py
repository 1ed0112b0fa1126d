"""The activator: holds the requests to a ModelDeployment that has no replica, and forwards them once one is ready."""
