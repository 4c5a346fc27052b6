"""Decisions about TrainingRuns."""
