"""Images for nodes: the pause image, made here, and archives written without a builder."""

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

PAUSE: Final = "modelops.test/pause:1"
_SOURCE: Final = """\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void leave(int number) { (void)number; _exit(0); }
static void reap(int number) { (void)number; while (waitpid(-1, 0, WNOHANG) > 0) { } }
int main(void) {
    signal(SIGINT, leave);
    signal(SIGTERM, leave);
    signal(SIGCHLD, reap);
    for (;;) pause();
}
"""


def pause(archive: Path) -> None:
    """Write the image whose process holds a pod's namespaces; with gcc.

    Raises:
        subprocess.CalledProcessError: gcc failed, and has said why.
    """
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory, "pause.c"), Path(directory, "pause")
        source.write_text(_SOURCE)
        subprocess.run(["gcc", "-Os", "-static", "-s", "-o", str(program), str(source)], check=True)
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as files:
            files.add(program, "pause", filter=by_nobody_in_particular)
    write(archive, PAUSE, layer.getvalue(), {"Entrypoint": ["/pause"], "User": "65535:65535"})


def write(archive: Path, name: str, layer: bytes, config: Mapping[str, Any]) -> None:
    """Write an image of one layer as a Docker archive.

    Args:
        archive: the file.
        name: with its tag.
        layer: a tar of the root directory.
        config: Entrypoint, User, Env and so on.
    """
    digest = hashlib.sha256(layer).hexdigest()
    described = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    configured = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = json.dumps([{"Config": configured, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    archive.parent.mkdir(parents=True, exist_ok=True)
    made = archive.with_suffix(".part")
    with tarfile.open(made, "w") as files:
        for entry, content in (("layer.tar", layer), (configured, described), ("manifest.json", manifest)):
            info = tarfile.TarInfo(entry)
            info.size = len(content)
            files.addfile(info, io.BytesIO(content))
    made.rename(archive)


def by_nobody_in_particular(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    info.mode = 0o755
    return info
