"""A Kubernetes-shaped home on one machine."""
