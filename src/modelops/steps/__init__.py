"""What runs inside training pods."""
