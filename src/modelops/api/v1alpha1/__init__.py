"""The kinds of modelops.dev/v1alpha1."""
