"""What modelops works with, brought to a cluster: MLflow, Prometheus, Argo Workflows, repositories, our images."""
