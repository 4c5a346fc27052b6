"""Dashboards for Grafana, made in code: every query stands beside the metrics that it asks for."""
