"""Which cluster, which namespace, which kind: the options that verbs share, resolved as kubectl does.

The local home is a context like any other (`--context local`), and the default while one is up and no kubeconfig is
given.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import urllib3

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import KINDS, Kind
from modelops.cli.complete import complete_context, complete_kind, complete_name
from modelops.cli.suggest import hint
from modelops.errors import Stalled

LOCAL: Final = "local"
_F = TypeVar("_F", bound=Callable[..., Any])
_DEADLINE: Final = urllib3.Timeout(connect=5, read=30)


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
    local: bool = False
    """Whether it is a local home."""


def target_options(function: _F) -> _F:
    """Add -n, --context, --kubeconfig and --state-dir to a verb; it receives a Target as `target`."""

    @click.option("-n", "--namespace", default=None, help="Namespace; by default the context's.")
    @click.option(
        "--context",
        default=None,
        help="Context of the kubeconfig; `local` is the local home.",
        shell_complete=complete_context,
    )
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


def kind_argument(function: _F) -> _F:
    """Add the argument KIND, completed in a shell."""
    return click.argument("kind", shell_complete=complete_kind)(function)


def name_argument(name: str = "name", *, kind: str = "", required: bool = True) -> Callable[[_F], _F]:
    """Return what adds the argument NAME, completed from the server.

    Args:
        name: of the parameter.
        kind: the kind's plural; by default the argument KIND says it.
        required: whether it must be given.
    """
    return click.argument(name, required=required, shell_complete=complete_name(kind))


def resolve(
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
    state_dir: Path,
    *,
    deadline: urllib3.Timeout = _DEADLINE,
) -> Target:
    """Return the target that the options name.

    Raises:
        Stalled: no kubeconfig can be found, or it lacks the context.
    """
    path = find_kubeconfig(context, kubeconfig, state_dir)
    client = KubeClient.from_kubeconfig(path, context=context, deadline=deadline)
    local = path is not None and (Path(path).parent / "home.json").exists()
    return Target(client, namespace or client.namespace, local)


def find_kubeconfig(context: str | None, kubeconfig: str | None, state_dir: Path) -> str | None:
    """Return the path of the kubeconfig; None leaves it to the Kubernetes client (several files, or inside a pod).

    Raises:
        Stalled: there is none.
    """
    home = state_dir / "kubeconfig"
    if kubeconfig is not None:
        return kubeconfig
    if context == LOCAL:
        if not home.exists():
            raise Stalled("NoLocalHome", f"no local home in {state_dir}; start one: modelops local up")
        return str(home)
    named = os.environ.get("KUBECONFIG")
    if named:
        return None if os.pathsep in named else named
    if context is None and home.exists():
        return str(home)
    usual = Path.home() / ".kube" / "config"
    if usual.exists():
        return str(usual)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    raise Stalled(
        "NoKubeconfig",
        f"there is no kubeconfig ({usual}) and no local home; give --kubeconfig, or start one: modelops local up",
    )


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
    meant = hint(bare, names) or f"; kinds are {', '.join(k.resource.plural for k in KINDS)}"
    raise click.UsageError(f"there is no kind {word!r}{meant}")


def page_of(target: Target, kind: Kind, namespace: str | None, selector: str = "") -> dict[str, Any]:
    """Return the list of a kind's objects, each with its kind.

    Raises:
        Stalled: the API server does not know the kind.
    """
    resource = kind.resource
    page = target.client.list_page(resource, namespace if resource.namespaced else None, selector=selector)
    if page is None:
        raise Stalled(
            "NotInstalled",
            f"this API server has no {resource.plural}; install modelops' CRDs: kubectl apply -f crds/",
        )
    about = {"apiVersion": resource.api_version, "kind": resource.kind}
    return page | {"items": [about | item for item in page["items"]]}


def object_named(target: Target, kind: Kind, name: str) -> dict[str, Any]:
    """Return one object.

    Raises:
        Stalled: there is none of that name; the nearest is suggested.
    """
    namespace = target.namespace if kind.resource.namespaced else None
    found = target.client.get(kind.resource, namespace, name)
    if found is not None:
        return found
    others = [item["metadata"]["name"] for item in page_of(target, kind, namespace)["items"]]
    where = f" in namespace {namespace}" if namespace else ""
    raise Stalled("NotFound", f"there is no {kind.resource.kind} {name!r}{where}{hint(name, others)}")
