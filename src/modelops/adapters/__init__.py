"""The only places that touch something outside."""
