"""Stories on a real cluster, each in a namespace of its own."""
