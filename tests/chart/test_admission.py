"""The chart's ValidatingAdmissionPolicies on a real API server: what is refused, by which line, and what passes."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import (
    COMPUTEPOOL,
    DEPLOYMENT,
    GITSOURCE,
    MODELRELEASE,
    NAMESPACE,
    SERVICEACCOUNT,
    TRAININGRUN,
    WORKFLOW,
    Resource,
)
from modelops.api.labels import COMMAND, OWNER_KIND
from modelops.errors import ModelopsError, Stalled
from tests.chart.cluster import CHART, SYSTEM, Cluster
from tests.support.installed import CLUSTERROLE, bind
from tests.support.operators import until

pytestmark = pytest.mark.real_apiserver
TEAM = "team"
DEV, POOR = ServiceAccount(TEAM, "dev"), ServiceAccount(TEAM, "poor")
ADMIN, OPERATOR = None, ServiceAccount(SYSTEM, "modelops")
LIMITS = ["--set=admission.limits.gpuHoursPerRun=100", "--set=admission.limits.replicasPerRelease=4"]


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """The chart with limits, two pools, and two people: `dev` may write what a repository brings, `poor` may not."""
    admin = cluster.admin
    cluster.helm("install", "modelops", str(CHART), "--create-namespace", *LIMITS)
    admin.apply(NAMESPACE, {"metadata": {"name": TEAM}})
    children = {"apiGroups": ["argoproj.io", "apps"], "resources": ["workflows", "deployments"], "verbs": ["*"]}
    admin.apply(CLUSTERROLE, {"metadata": {"name": "children"}, "rules": [children]})
    for account in (DEV, POOR):
        admin.apply(SERVICEACCOUNT, {"metadata": {"name": account.name, "namespace": TEAM}})
        bind(admin, TEAM, f"{account.name}-edit", "modelops-edit", account, "ClusterRole")
    for role in ("modelops-tenant", "children"):
        bind(admin, TEAM, role, role, DEV, "ClusterRole")

    def refused() -> bool:
        try:
            admin.dry_run(TRAININGRUN.resource, a_run(compute={"pool": "theirs"}))
        except ModelopsError as error:
            return "pool theirs" in error.message
        return False

    # A policy counts a moment after it was written; pools, its parameters, come last.
    admin.apply(COMPUTEPOOL.resource, {"metadata": {"name": "theirs"}, "spec": {"namespaces": ["other"]}})
    admin.apply(COMPUTEPOOL.resource, {"metadata": {"name": "small"}, "spec": {"maxPerRun": {"gpus": 1}}})
    until(refused, 30, "the policies count")
    return cluster


def _object(spec: dict[str, Any], notes: dict[str, str] | None = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "one", "namespace": TEAM, "annotations": notes or {}, **meta}, "spec": spec}


def a_run(notes: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a TrainingRun."""
    model = {"datasetRef": {"name": "d"}, "model": {"name": "m"}, "trainer": {"builtin": "torch-mlp"}}
    return _object(model | spec, notes)


def a_release(notes: dict[str, str] | None = None, **serving: Any) -> dict[str, Any]:
    """Return a ModelRelease."""
    strategy = {"canary": {"steps": [{"setWeight": 10}]}}
    return _object({"model": {"name": "m", "version": "1"}, "strategy": strategy, "serving": serving}, notes)


def by_strategy(**strategy: Any) -> dict[str, Any]:
    """Return a ModelRelease with a strategy."""
    return _object({"model": {"name": "m", "version": "1"}, "strategy": strategy})


def scaled(**scale: Any) -> dict[str, Any]:
    """Return a ModelRelease whose canary is scaled in its second step."""
    return by_strategy(canary={"steps": [{"setWeight": 10}, {"setCanaryScale": scale}, {"approve": {}}]})


def a_source(
    url: str = "https://git.example.com/p.git", notes: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a GitSource."""
    return _object({"url": url} | spec, notes)


def said(text: str) -> dict[str, str]:
    """Return the annotation of a command."""
    return {COMMAND: text}


def approved(by: str) -> dict[str, Any]:
    """Return a ModelRelease whose canary somebody lets go on."""
    return a_release(said(f'{{"verb":"promote","revision":"r","step":1,{by},"id":"1"}}'))


RUN, RELEASE, SOURCE = TRAININGRUN.resource, MODELRELEASE.resource, GITSOURCE.resource
PODS = {"spec": {"serviceAccountName": "admin", "containers": [{"name": "server", "image": "server"}]}}
OWNED = {"metadata": {"name": "one", "namespace": TEAM, "labels": {OWNER_KIND: "TrainingRun"}}}
POD = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
DEPLOYED = {"selector": {"matchLabels": {"app": "x"}}, "template": POD}

REFUSED: list[tuple[str, ServiceAccount | None, Resource, dict[str, Any], str]] = [
    ("scheme", DEV, SOURCE, a_source("http://git.example.com/p.git"), "spec.url: this cluster takes https, ssh only"),
    ("rights", POOR, SOURCE, a_source(), "spec.serviceAccountName: without it a repository may write what"),
    (
        "account of a source",
        DEV,
        SOURCE,
        a_source(serviceAccountName="sync"),
        "team:dev may not impersonate ServiceAccount sync",
    ),
    ("secret", DEV, SOURCE, a_source(secretRef={"name": "s"}), "team:dev may not read Secret s, so"),
    ("no command", DEV, SOURCE, a_source(notes=said('{"verb":"retry","id":"1"}')), "a GitSource takes no command"),
    ("verb", DEV, RUN, a_run(said('{"verb":"promote","id":"1"}')), "no verb that a TrainingRun knows"),
    ("no JSON", DEV, RELEASE, a_release(said("promote")), "out of promote, abort, retry, pause, unpause, undo"),
    ("no id", DEV, RUN, a_run(said('{"verb":"retry"}')), "without an id of 1 to 128 characters"),
    ("approver", DEV, RELEASE, approved('"by":"boss"'), '"by" is system:serviceaccount:team:dev or nobody'),
    ("two approvers", DEV, RELEASE, approved(f'"by":"{DEV.user}","by":"boss"'), "nobody approves for another"),
    ("hidden approver", DEV, RELEASE, approved(r'"\u0062y":"boss"'), "nobody approves for another"),
    ("approver in an object", DEV, RELEASE, approved('"by":{"name":"boss"}'), "nobody approves for another"),
    ("long", DEV, RUN, a_run(said('{"verb":"retry","id":"1"}' + " " * 1024)), "longer than 1024 characters"),
    ("workflow", DEV, WORKFLOW, {**OWNED, "spec": {}}, "metadata.labels: modelops.dev/owner-kind"),
    ("deployment", DEV, DEPLOYMENT, {**OWNED, "spec": DEPLOYED}, "are the operator's; leave them out"),
    (
        "account",
        DEV,
        RELEASE,
        a_release(runtime="custom", podTemplate=PODS),
        "team:dev may not impersonate ServiceAccount admin",
    ),
    ("replicas", DEV, RELEASE, a_release(replicas=5), "spec.serving.replicas: this cluster allows 4"),
    ("canary's replicas", DEV, RELEASE, scaled(replicas=5), "setCanaryScale.replicas: this cluster allows 4"),
    (
        "no strategy",
        DEV,
        RELEASE,
        by_strategy(),
        "set exactly one of canary, linear, blueGreen, direct, abTest and shadow",
    ),
    ("two strategies", DEV, RELEASE, by_strategy(direct={}, blueGreen={}), "set exactly one of canary, linear"),
    ("blind", DEV, RELEASE, by_strategy(linear={"stepWeight": 5, "every": "1m"}), "need analysis.metrics"),
    ("two scales", DEV, RELEASE, scaled(replicas=1, percent=5), "exactly one of replicas, percent and matchTraffic"),
    ("hours", DEV, RUN, a_run(compute={"gpus": 8, "timeout": "10h", "retries": 2}), "is 240 GPU hours at worst"),
    ("pool", DEV, RUN, a_run(compute={"pool": "theirs"}), "pool theirs is not for namespace team"),
    ("gpus", DEV, RUN, a_run(compute={"pool": "small", "gpus": 2}), "spec.compute.gpus: pool small allows 1"),
]
PASSES: list[tuple[str, ServiceAccount | None, Resource, dict[str, Any]]] = [
    ("source", DEV, SOURCE, a_source()),
    ("account of a source, by an administrator", ADMIN, SOURCE, a_source(serviceAccountName="sync")),
    ("commanded run", DEV, RUN, a_run(said('{"verb":"retry","id":"1"}'))),
    ("commanded release", DEV, RELEASE, a_release(said('{"verb":"promote","revision":"r","step":1,"id":"1"}'))),
    ("approver", DEV, RELEASE, approved(f'"by": "{DEV.user}"')),
    ("own workflow", DEV, WORKFLOW, {"metadata": {"name": "one", "namespace": TEAM}, "spec": {}}),
    ("the operator's", OPERATOR, WORKFLOW, {**OWNED, "spec": {}}),
    ("replicas", DEV, RELEASE, a_release(replicas=4)),
    ("canary's replicas", DEV, RELEASE, scaled(replicas=4)),
    ("canary's share", DEV, RELEASE, scaled(matchTrafficWeight=True)),
    ("direct", DEV, RELEASE, by_strategy(direct={})),
    ("blue-green", DEV, RELEASE, by_strategy(blueGreen={"autoPromote": False, "scaleDownDelay": "1h"})),
    ("account of an administrator", ADMIN, RELEASE, a_release(runtime="custom", podTemplate=PODS)),
    ("hours", DEV, RUN, a_run(compute={"gpus": 8, "timeout": "4h", "retries": 2})),
    ("pool", DEV, RUN, a_run(compute={"pool": "small", "gpus": 1, "timeout": "1h30m"})),
]


def _client(cluster: Cluster, user: ServiceAccount | None) -> KubeClient:
    return cluster.admin if user is ADMIN else cluster.as_account(user)


@pytest.mark.parametrize(
    ("user", "resource", "obj", "line"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_is_refused_by_one_line(
    installed: Cluster, user: ServiceAccount | None, resource: Resource, obj: dict[str, Any], line: str
) -> None:
    """As Invalid, which is not tried again for ever as a Forbidden is; the line says where and what to do."""
    with pytest.raises(Stalled) as refused:
        _client(installed, user).dry_run(resource, obj)
    assert line in refused.value.message
    assert "resulted in error" not in refused.value.message


@pytest.mark.parametrize(("user", "resource", "obj"), [c[1:] for c in PASSES], ids=[c[0] for c in PASSES])
def test_passes(installed: Cluster, user: ServiceAccount | None, resource: Resource, obj: dict[str, Any]) -> None:
    """What keeps the rules is taken."""
    assert _client(installed, user).dry_run(resource, obj) is not None


@pytest.fixture
def written(installed: Cluster) -> Callable[[Resource, dict[str, Any]], dict[str, Any]]:
    """Return a function with which an administrator writes an object, under a name of its own."""

    def write(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        return installed.admin.apply(resource, {**obj, "metadata": {**obj["metadata"], "name": secrets.token_hex(4)}})

    return write


def test_borrowed_secret_stays_when_nothing_else_changes(
    installed: Cluster, written: Callable[[Resource, dict[str, Any]], dict[str, Any]]
) -> None:
    """Who may not read a GitSource's Secret may suspend it, and may not point it elsewhere."""
    held = written(SOURCE, a_source(secretRef={"name": "s"}))
    dev = installed.as_account(DEV)
    assert dev.dry_run(SOURCE, {**held, "spec": {**held["spec"], "suspend": True}}) is not None
    with pytest.raises(Stalled, match="may not read Secret s"):
        dev.dry_run(SOURCE, {**held, "spec": {**held["spec"], "url": "https://elsewhere.example.com/p.git"}})


def test_account_of_a_release_stays_with_its_template(
    installed: Cluster, written: Callable[[Resource, dict[str, Any]], dict[str, Any]]
) -> None:
    """A release under somebody's account may be suspended; another image under that account is borrowing it."""
    held = written(RELEASE, a_release(runtime="custom", podTemplate=PODS))
    dev = installed.as_account(DEV)
    assert dev.dry_run(RELEASE, {**held, "spec": {**held["spec"], "suspend": True}}) is not None
    other = {"spec": {**PODS["spec"], "containers": [{"name": "server", "image": "mine"}]}}
    spec = {**held["spec"], "serving": {**held["spec"]["serving"], "podTemplate": other}}
    with pytest.raises(Stalled, match="may not impersonate ServiceAccount admin"):
        dev.dry_run(RELEASE, {**held, "spec": spec})


def test_handled_command_is_not_looked_at_again(
    installed: Cluster, written: Callable[[Resource, dict[str, Any]], dict[str, Any]]
) -> None:
    """An old annotation does not stand in the way of a change of something else."""
    held = written(RUN, a_run(said('{"verb":"retry","id":"1"}')))
    assert installed.as_account(DEV).dry_run(RUN, {**held, "spec": {**held["spec"], "suspend": True}}) is not None


def test_labels_of_the_operator_cannot_be_taken_away(installed: Cluster) -> None:
    """Without them the operator would no longer find its child, and make a second one."""
    operator = installed.as_account(OPERATOR)
    held = operator.create(WORKFLOW, {"metadata": {**OWNED["metadata"], "name": "owned"}, "spec": {}})
    assert held is not None
    with pytest.raises(Stalled, match="are the operator's"):
        installed.as_account(DEV).dry_run(WORKFLOW, {**held, "metadata": {**held["metadata"], "labels": {}}})
