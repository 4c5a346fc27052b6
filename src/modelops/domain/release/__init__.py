"""What a ModelRelease does next. Pure."""
