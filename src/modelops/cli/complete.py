"""What a shell offers after Tab: kinds, contexts, and names from the server. Quick, and silent on failure.

Called by click while it completes. It must never print, and never wait longer than a second.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from modelops.errors import ModelopsError

_KINDS: Final = ("gitsources", "datasets", "trainingruns", "modelreleases", "computepools", "metrictemplates")
_CONNECT, _READ = 0.3, 0.7
_Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def complete_kind(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds that begin so; after a comma, the next one."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{kind}" for kind in _KINDS if kind.startswith(last)]


def complete_name(kind: str = "") -> _Complete:
    """Return what completes the names of a kind's objects; without one, of the argument KIND's."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        # Imported here: `target` imports this module, and a shell that completes a verb needs neither.
        from urllib3 import Timeout  # noqa: PLC0415

        from modelops.cli import target  # noqa: PLC0415

        given = ctx.params
        try:
            found = target.kind_named(kind or str(given.get("kind") or ""))
            where = target.resolve(
                given.get("namespace"),
                given.get("context"),
                given.get("kubeconfig"),
                given.get("state_dir") or target.default_state_dir(),
                deadline=Timeout(connect=_CONNECT, read=_READ),
            )
            items: list[dict[str, Any]] = target.page_of(where, found, where.namespace)["items"]
        except (ModelopsError, click.ClickException):
            return []
        return sorted(name for item in items if (name := item["metadata"]["name"]).startswith(incomplete))

    return complete


def complete_context(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the contexts of the kubeconfig, and `local`."""
    import yaml  # noqa: PLC0415

    named = ctx.params.get("kubeconfig") or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config"
    names = {"local"}
    for path in str(named).split(os.pathsep):
        try:
            config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            names |= {str(entry["name"]) for entry in config["contexts"]}
        except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
            continue
    return sorted(name for name in names if name.startswith(incomplete))
