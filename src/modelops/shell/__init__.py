"""kopf, and nothing but kopf."""
