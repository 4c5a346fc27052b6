"""The cluster that the stories run on: an existing one, kind, or one started on this machine."""
