"""What is mounted below a directory: pods' volumes, containers' roots and network namespaces."""

import subprocess
from pathlib import Path


def below(root: Path) -> list[Path]:
    """Return the mount points below a directory, the innermost first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point.is_relative_to(root):
            found.append(point)
    return sorted(found, key=lambda point: len(point.parts), reverse=True)


def remove(root: Path) -> None:
    """Unmount everything below a directory.

    Raises:
        RuntimeError: something is still mounted; removing the directory would remove what is mounted.
    """
    for point in below(root):
        # Lazily: a namespace that a dying process holds goes with it.
        subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False)
    if left := below(root):
        raise RuntimeError(f"{left[0]} cannot be unmounted")
