"""Examples, and the tour through them."""
