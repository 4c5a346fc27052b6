"""Which cluster, which namespace, which kind: the options that verbs share, resolved as kubectl does.

The local home is a context like any other (`--context local`), and the default while one is up and no kubeconfig is
given.
"""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import KINDS, Kind
from modelops.errors import Stalled

LOCAL: Final = "local"
_F = TypeVar("_F", bound=Callable[..., Any])


def default_state_dir() -> Path:
    """Return the state directory: MODELOPS_STATE_DIR, else the user's own."""
    named = os.environ.get("MODELOPS_STATE_DIR")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "modelops"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a verb acts."""

    client: KubeClient
    namespace: str


def target_options(function: _F) -> _F:
    """Add -n, --context, --kubeconfig and --state-dir to a verb; it receives a Target as `target`."""

    @click.option("-n", "--namespace", default=None, help="Namespace; by default the context's.")
    @click.option("--context", default=None, help="Context of the kubeconfig; `local` is the local home.")
    @click.option("--kubeconfig", type=click.Path(dir_okay=False), default=None, help="Path of a kubeconfig.")
    @click.option("--state-dir", type=click.Path(file_okay=False, path_type=Path), default=None, help="Local home.")
    @click.pass_context
    def wrapped(
        ctx: click.Context,
        /,
        *args: Any,
        namespace: str | None,
        context: str | None,
        kubeconfig: str | None,
        state_dir: Path | None,
        **kwargs: Any,
    ) -> Any:
        found = resolve(namespace, context, kubeconfig, state_dir or default_state_dir())
        return ctx.invoke(function, *args, target=found, **kwargs)

    wrapped.__doc__ = function.__doc__
    wrapped.__name__ = function.__name__
    if hasattr(function, "__click_params__"):
        wrapped.__click_params__ = function.__click_params__ + wrapped.__click_params__  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def resolve(namespace: str | None, context: str | None, kubeconfig: str | None, state_dir: Path) -> Target:
    """Return the target that the options name.

    Raises:
        Stalled: no kubeconfig can be found, or it lacks the context.
    """
    local = state_dir / "kubeconfig"
    path = kubeconfig
    if context == LOCAL and kubeconfig is None:
        if not local.exists():
            raise Stalled("NoLocalHome", f"no local home in {state_dir}; start one: modelops local up")
        path = str(local)
    elif kubeconfig is None and context is None and local.exists() and "KUBECONFIG" not in os.environ:
        path = str(local)
    client = KubeClient.from_kubeconfig(path, context=context)
    return Target(client, namespace or client.namespace)


def kind_named(word: str) -> Kind:
    """Return the kind that a word names: singular, plural, short name or CamelCase.

    Raises:
        click.UsageError: there is none; the nearest is suggested.
    """
    names: dict[str, Kind] = {}
    for kind in KINDS:
        for name in (kind.singular, kind.resource.plural, *kind.short_names):
            names[name] = kind
    bare = word.lower().removesuffix(".modelops.dev")
    if bare in names:
        return names[bare]
    close = difflib.get_close_matches(bare, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; kinds are {', '.join(k.resource.plural for k in KINDS)}"
    raise click.UsageError(f"there is no kind {word!r}{hint}")


def object_named(target: Target, kind: Kind, name: str) -> dict[str, Any]:
    """Return one object.

    Raises:
        Stalled: there is none of that name; the nearest is suggested.
    """
    namespace = target.namespace if kind.resource.namespaced else None
    found = target.client.get(kind.resource, namespace, name)
    if found is not None:
        return found
    others = [item["metadata"]["name"] for item in target.client.list(kind.resource, namespace)]
    close = difflib.get_close_matches(name, others, n=1)
    where = f" in namespace {namespace}" if namespace else ""
    hint = f"; did you mean {close[0]}?" if close else ""
    raise Stalled("NotFound", f"there is no {kind.resource.kind} {name!r}{where}{hint}")
