"""The images: what is in them, and that they work read-only and as nobody in particular (`make test-images`)."""
