"""`python -m modelops.telemetry.dashboards`: write the chart's dashboards below the current directory."""

import json

from modelops.api.generate import write
from modelops.telemetry.dashboards.operator import operator
from modelops.telemetry.dashboards.release import release


def rendered() -> dict[str, str]:
    """Return every dashboard: path from the root of the repository → content."""
    made = {"release": release(), "operator": operator()}
    return {
        f"charts/modelops/files/dashboards/{name}.json": json.dumps(one, indent=2, ensure_ascii=False) + "\n"
        for name, one in made.items()
    }


def main() -> None:
    """Write them."""
    write(rendered(), "dashboards")


if __name__ == "__main__":
    main()
