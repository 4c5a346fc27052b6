"""Print the resident memory of every process of a running local home, children included.

python bench/footprint.py STATE_DIR
"""

import json
import sys
from pathlib import Path


def _children() -> dict[int, list[int]]:
    tree: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except FileNotFoundError:
                continue
            tree.setdefault(parent, []).append(int(entry.name))
    return tree


def _proportional_kib(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def main() -> None:
    """Print a Markdown table: part, processes, MiB (proportional set size)."""
    home = json.loads((Path(sys.argv[1]) / "home.json").read_text())
    tree = _children()
    print("| part | processes | MiB |\n|---|---|---|")
    for name, process in home["parts"].items():
        pids, queue = [], [process["pid"]]
        while queue:
            pid = queue.pop()
            pids.append(pid)
            queue.extend(tree.get(pid, ()))
        print(f"| {name} | {len(pids)} | {sum(map(_proportional_kib, pids)) / 1024:.0f} |")


if __name__ == "__main__":
    main()
