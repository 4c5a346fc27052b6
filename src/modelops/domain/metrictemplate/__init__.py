"""Decisions about MetricTemplates."""
