"""Decisions about ComputePools."""
