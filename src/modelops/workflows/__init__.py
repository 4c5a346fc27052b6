"""Pure renderers of Argo Workflows."""
