"""Decisions about GitSources: apply, inventory, prune."""
