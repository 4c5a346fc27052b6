"""docs/dashboards.md lists every metric with its labels, as the code has them, and every alert."""

import re
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry

from modelops.telemetry.metrics import OperatorMetrics

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "dashboards.md"


def rows() -> list[str]:
    """Return the rows of the table of metrics."""
    registry = CollectorRegistry()
    metrics = OperatorMetrics(registry)
    made = []
    for collector in dict.fromkeys(metrics.registry._names_to_collectors.values()):
        family = next(iter(collector.describe() if hasattr(collector, "describe") else collector.collect()))
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = f"{{{','.join(collector._labelnames)}}}" if collector._labelnames else ""
        made.append(f"| `{name}{labels}` | {family.type} | {family.documentation} |")
    return made


def test_every_metric_is_on_the_page() -> None:
    """In the order of the code; nothing is there that nobody exports."""
    written = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `modelops_")]
    assert written == rows()


def test_every_alert_is_on_the_page() -> None:
    """In the order of the rules, by a heading that their runbook line names."""
    alerts = yaml.safe_load((ROOT / "charts/modelops/files/alerts.yaml").read_text(encoding="utf-8"))
    names = [rule["alert"] for rule in alerts["groups"][0]["rules"]]
    assert re.findall(r"^### (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == names
