"""A Kubernetes-shaped API server over SQLite for a machine without a cluster (docs/reference/local-api.md)."""
