"""The model server: Open Inference Protocol v2 and MLflow's /invocations over one model."""
