"""The only code that calls the Kubernetes API (besides Kopf's watches)."""
