"""What runs in the pods of a Workflow: prepare, train, evaluate, register."""
