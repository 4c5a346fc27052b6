"""One local home on disk: where things lie, which ports it keeps, who runs it.

The supervisor writes it; the command line, the gateway controller and `doctor` read it. It starts nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelops.localhome import children

PORTS: Final = ("api", "mlflow", "prometheus", "gateway", "envoyAdmin", "metrics", "health")
_TIMES: Final = 20


@dataclass(frozen=True, slots=True)
class Home:
    """The state directory of one local home."""

    state: Path

    @property
    def kubeconfig(self) -> Path:
        """Written by the API server; context `local`."""
        return self.state / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file per part."""
        return self.state / "logs"

    @property
    def description(self) -> Path:
        """`home.json`: who runs, on which ports, since when."""
        return self.state / "home.json"

    def read(self) -> dict[str, Any]:
        """Return what the last supervisor wrote, or nothing."""
        try:
            read = json.loads(self.description.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def write(self, description: Mapping[str, Any]) -> None:
        """Replace home.json in one step, readable by its owner only."""
        fresh = self.description.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        fresh.replace(self.description)

    def supervisor(self) -> int | None:
        """Return the pid of the supervisor that runs this home now, or None. A recycled pid does not count."""
        who = self.read().get("supervisor") or {}
        pid, started = who.get("pid"), who.get("startTime")
        if isinstance(pid, int) and isinstance(started, int) and children.alive(pid, started):
            return pid
        return None

    def ports(self) -> dict[str, int]:
        """Return a loopback port per part: those of the last time where they are still free."""
        kept = self.read().get("ports") or {}
        chosen: dict[str, int] = {}
        for name in PORTS:
            port = kept.get(name)
            for _ in range(_TIMES):
                if isinstance(port, int) and port not in chosen.values() and children.port_is_free(port):
                    break
                port = children.free_port()
            chosen[name] = int(port or children.free_port())
        return chosen


def endpoints(ports: Mapping[str, int], *, prometheus: bool) -> dict[str, str]:
    """Return the addresses that people and programs use."""
    found = {
        "gateway": f"http://127.0.0.1:{ports['gateway']}",
        "mlflow": f"http://127.0.0.1:{ports['mlflow']}",
        "ui": f"http://127.0.0.1:{ports['mlflow']}",
        "metrics": f"http://127.0.0.1:{ports['metrics']}/metrics",
    }
    if prometheus:
        found["prometheus"] = f"http://127.0.0.1:{ports['prometheus']}"
    return found


def status(home: Home) -> dict[str, Any]:
    """Return what `modelops local status -o json` prints."""
    read = home.read()
    alive = home.supervisor() is not None
    return {
        "ready": alive and bool(read.get("ready")),
        "stateDir": str(home.state),
        "kubeconfig": str(home.kubeconfig),
        "endpoints": read.get("endpoints") or {} if alive else {},
        "parts": read.get("parts") or {} if alive else {},
    }
