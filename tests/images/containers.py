"""Builds images and runs them as a pod would: root read-only, their own user, no capability, a tmpfs at /tmp.

buildah builds and unpacks them; a mount namespace does the rest. Network and processes are the machine's own, so this
says nothing of a container runtime. Used by the tests beside it.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
BASE: Final = os.environ.get("MODELOPS_TEST_BASE", "localhost/modelops-base:slim")
"""Image that ours are built from; made here if it is the default and not there."""
_ISOLATED: Final = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
_ENTER: Final = """
set -e
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
while [ "$1" != -- ]; do mount --bind -o "$3" "$1" "$root$2"; mount -o "remount,bind,$3" "$root$2"; shift 3; done
shift
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all -- "$@"
"""


def missing() -> str | None:
    """Return what building and running lacks here and how to get it, or None."""
    lacking = [program for program in ("buildah", "debootstrap", "unshare") if shutil.which(program) is None]
    if lacking:
        return f"{' and '.join(lacking)} not found; on Debian: apt-get install {' '.join(lacking)}"
    return None if os.geteuid() == 0 else "images are built and entered as root; run these tests as root"


@dataclass(frozen=True)
class Image:
    """One image, unpacked."""

    name: str
    container: str
    """buildah's name of the unpacked copy."""
    root: Path
    """Where its files lie."""
    config: Mapping[str, Any]
    """Its OCI configuration: User, Env, Entrypoint, Labels."""
    size: int
    """Bytes of all its layers."""

    @classmethod
    def open(cls, name: str) -> "Image":
        """Unpack an image that is in buildah's store."""
        described = json.loads(_buildah("inspect", "--type", "image", name))
        container = _buildah("from", "--pull-never", name).strip()
        size = json.loads(_buildah("images", "--json", name))[0]["size"]
        root = Path(_buildah("mount", container).strip())
        return cls(name, container, root, described["OCIv1"]["config"], _bytes(size))

    def close(self) -> None:
        """Remove the unpacked copy; the image stays."""
        _buildah("rm", self.container)

    @property
    def packages(self) -> Path:
        """Where its Python packages are."""
        return next((self.root / "opt/modelops/lib").glob("python3.*")) / "site-packages"

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
        writable: Mapping[str, Path] | None = None,
        **popen: Any,
    ) -> subprocess.Popen[str]:
        """Start a command; its process id is that of the command itself.

        Args:
            command: and its arguments.
            env: besides the image's own.
            mounts: path in the image → file or directory here, read-only.
            writable: likewise, to be written to; it is given to the image's user.
            popen: passed on.
        """
        user = self.config["User"].partition(":")[0]
        bound: list[str] = []
        for where, what in (mounts or {}).items():
            bound += [*self._point(where, what), "ro"]
        for where, what in (writable or {}).items():
            os.chown(what, int(user), int(user))
            bound += [*self._point(where, what), "rw"]
        given = dict(entry.split("=", 1) for entry in self.config["Env"]) | dict(env or {})
        enter = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.root), user, *bound, "--", *command]
        return subprocess.Popen(enter, env=given, text=True, **popen)

    def run(self, command: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its output, errors included, is in `stdout`."""
        process = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
        said, _ = process.communicate(timeout=240)
        return subprocess.CompletedProcess(command, process.returncode, said)

    def _point(self, where: str, what: Path) -> tuple[str, str]:
        """Make a mount point, as a container runtime would."""
        point = self.root / where.lstrip("/")
        if what.is_dir():
            point.mkdir(parents=True, exist_ok=True)
        else:
            point.parent.mkdir(parents=True, exist_ok=True)
            point.touch()
        return str(what), where


def build(target: str) -> str:
    """Build one image as `make images` does, and return its name; unchanged layers are taken as they are."""
    if (
        BASE.startswith("localhost/")
        and subprocess.run(["buildah", "inspect", "--type", "image", BASE], capture_output=True, check=False).returncode
    ):
        subprocess.run([ROOT / "scripts/base_image.sh", BASE], check=True)
    settings = {"TARGETS": target, "TAG": "test", "BASE": BASE, "BUILDER": "buildah", "REGISTRY": "localhost"}
    subprocess.run([ROOT / "scripts/images.sh"], env={**_ISOLATED, **settings}, check=True)
    return f"localhost/modelops-{target}:test"


def _buildah(*arguments: str) -> str:
    return subprocess.run(["buildah", *arguments], env=_ISOLATED, check=True, stdout=subprocess.PIPE, text=True).stdout


def _bytes(size: str) -> int:
    """Return what buildah prints as `217 MB`."""
    number, unit = size.split()
    return int(float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
