"""A cluster for people: `python -m tests.e2e.cluster up|down|status|build|build-gateway|kind-up|kind-down`."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping

from tests.e2e.cluster import kind, own, processes, programs
from tests.e2e.cluster.layout import Layout


def build(_place: Layout) -> int:
    """Build what Go can build of a cluster, and say what is still missing."""
    programs.build()
    return _told(programs.missing())


def build_gateway(_place: Layout) -> int:
    """Build Envoy Gateway."""
    programs.build_gateway()
    return 0


def up(place: Layout) -> int:
    """Start a cluster on this machine, and say how to reach it."""
    if lacking := programs.missing():
        return _told(lacking)
    began = time.monotonic()
    own.up(place)
    sys.stdout.write(f"up after {time.monotonic() - began:.0f} s; export KUBECONFIG={place.kubeconfig}\n")
    return 0


def down(place: Layout) -> int:
    """End it and remove all of it."""
    own.down(place)
    return 0


def status(place: Layout) -> int:
    """Say what of it runs; 1 unless all does."""
    for pid, program in sorted(processes.marked(place.root).items()):
        sys.stdout.write(f"{pid:8} {program}\n")
    whole = own.is_up(place)
    sys.stdout.write(f"{'up' if whole else 'not up'}: {place.root}\n")
    return 0 if whole else 1


def kind_up(place: Layout) -> int:
    """Start a cluster by kind, and say how to reach it."""
    if reason := kind.missing():
        return _told([reason])
    kinds = place.beside("kind")
    kind.up(kinds)
    sys.stdout.write(f"up; export KUBECONFIG={kinds.kubeconfig}\n")
    return 0


def kind_down(place: Layout) -> int:
    """Remove kind's cluster."""
    if reason := kind.missing():
        return _told([reason])
    kind.down(place.beside("kind"))
    return 0


def _told(lacking: Iterable[str]) -> int:
    lines = [f"missing {line}\n" for line in lacking]
    sys.stderr.writelines(lines)
    return 1 if lines else 0


_VERBS: Mapping[str, Callable[[Layout], int]] = {
    "up": up,
    "down": down,
    "status": status,
    "build": build,
    "build-gateway": build_gateway,
    "kind-up": kind_up,
    "kind-down": kind_down,
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in _VERBS:
        sys.exit(f"usage: python -m tests.e2e.cluster {'|'.join(_VERBS)}")
    sys.exit(_VERBS[sys.argv[1]](Layout.default()))
