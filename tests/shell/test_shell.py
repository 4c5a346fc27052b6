"""What kopf is known to do wrong, and that this shell does not: over a real API server, with kopf itself."""

import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.objects import dataset, release, training_run

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import (
    COMPUTEPOOL,
    DATASET,
    DEPLOYMENT,
    GITSOURCE,
    HTTPROUTE,
    METRICTEMPLATE,
    MODELRELEASE,
    TRAININGRUN,
    Resource,
)
from modelops.api.labels import MANAGED_BY, MANAGER, OWNER_KIND, OWNER_NAME
from modelops.shell.registry import CHILDREN, watched
from tests.shell.conftest import Shell, a_pool, said, wait_for
from tests.support.fault_proxy import FaultProxy
from tests.support.kube_apiserver import kubeconfig
from tests.support.local_apiserver import LocalApiServer

POOL = COMPUTEPOOL.resource


def test_a_new_object_gets_a_status(shell: Shell, client: KubeClient) -> None:
    """Login, discovery, watch, wake, reconcile and status write work together."""
    client.create(POOL, a_pool("new"))

    wait_for(lambda: said(client, "new") == "example.com/gpu")


def test_kopf_writes_nothing_to_our_objects(shell: Shell, client: KubeClient) -> None:
    """No annotation, no finalizer, no status of its own: only ours is on the object."""
    client.create(POOL, a_pool("clean"))
    wait_for(lambda: said(client, "clean"))

    obj = client.get(POOL, None, "clean")

    assert obj is not None
    assert "annotations" not in obj["metadata"]
    assert "finalizers" not in obj["metadata"]
    assert set(obj["status"]) <= {"conditions", "observedGeneration"}


def test_a_change_wakes_an_object_that_waits(shell: Shell, client: KubeClient) -> None:
    """A spec change is acted on although nothing was due."""
    client.create(POOL, a_pool("changing"))
    wait_for(lambda: said(client, "changing") == "example.com/gpu")

    client.merge_patch(POOL, None, "changing", {"spec": {"resourceName": "example.com/mig"}})

    wait_for(lambda: said(client, "changing") == "example.com/mig")


def test_one_object_is_never_reconciled_twice_at_once(shell: Shell, client: KubeClient) -> None:
    """Ten changes during one slow pass: single flight, and the last change is the one that stands."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        entered.set()
        go_on.wait(10)

    shell.pools.before = slow
    client.create(POOL, a_pool("single"))
    assert entered.wait(10)
    for number in range(10):
        client.merge_patch(POOL, None, "single", {"spec": {"resourceName": f"example.com/gpu-{number}"}})
    go_on.set()

    wait_for(lambda: said(client, "single") == "example.com/gpu-9")
    assert shell.pools.peak == 1


def test_a_slow_object_holds_up_no_other(shell: Shell, client: KubeClient) -> None:
    """A hung pass of one object costs one thread."""
    go_on = threading.Event()
    shell.pools.before = lambda obj: None if obj["metadata"]["name"] != "hung" else (go_on.wait(20), None)[1]
    client.create(POOL, a_pool("hung"))
    wait_for(lambda: "hung" in shell.pools.runs)

    client.create(POOL, a_pool("brisk"))

    wait_for(lambda: said(client, "brisk"))
    assert said(client, "hung") is None
    go_on.set()
    wait_for(lambda: said(client, "hung"))


def test_our_own_status_write_comes_to_rest(shell: Shell, client: KubeClient) -> None:
    """The event of our own write wakes one more pass, which writes nothing; then it is quiet."""
    client.create(POOL, a_pool("quiet"))
    wait_for(lambda: said(client, "quiet"))
    client.create(POOL, a_pool("later"))
    wait_for(lambda: said(client, "later"))

    assert shell.pools.runs.count("quiet") <= 3
    before = client.get(POOL, None, "quiet")
    client.create(POOL, a_pool("still-later"))
    wait_for(lambda: said(client, "still-later"))
    assert client.get(POOL, None, "quiet") == before


def test_our_own_status_wakes_who_reads_it(shell: Shell, client: KubeClient) -> None:
    """A Dataset's status is no news for the Dataset; the TrainingRun that waits for it has to hear of it."""
    data, run = dataset("read", source="nobody"), training_run("reader", "read")
    for obj in (data, run):
        obj["metadata"]["namespace"] = "default"
    runs = shell.recorders["TrainingRun"]
    client.create(TRAININGRUN.resource, run)
    wait_for(lambda: status_of(client, TRAININGRUN.resource, "reader"))
    time.sleep(0.3)
    before = runs.runs.count("reader")
    # The status is not written before the reader has run for the Dataset, or one run would do for both.
    shell.recorders["Dataset"].before = lambda _: wait_for(lambda: runs.runs.count("reader") > before)

    client.create(DATASET.resource, data)

    wait_for(lambda: status_of(client, DATASET.resource, "read"))
    # Once for the Dataset, once for its status.
    wait_for(lambda: runs.runs.count("reader") >= before + 2)


def test_a_metric_template_wakes_the_releases_that_name_it(shell: Shell, client: KubeClient) -> None:
    """When it comes and when it goes."""
    named, other = release("named"), release("other")
    for obj in (named, other):
        obj["metadata"]["namespace"] = "default"
    named["spec"]["analysis"] = {"metrics": [{"name": "m", "template": {"name": "rate"}}]}
    releases = shell.recorders["ModelRelease"]
    meta = {"name": "rate", "namespace": "default"}
    template = {"metadata": meta, "spec": {"prometheus": {"query": "q"}, "thresholdRange": {"min": 1}}}
    for obj in (named, other):
        client.create(MODELRELEASE.resource, obj)
    wait_for(lambda: all(status_of(client, MODELRELEASE.resource, one) for one in ("named", "other")))
    time.sleep(0.3)
    first, others = releases.runs.count("named"), releases.runs.count("other")
    # The status is not written before the release has run for the template, or one run would do for both.
    shell.recorders["MetricTemplate"].before = lambda _: wait_for(lambda: releases.runs.count("named") > first)

    client.create(METRICTEMPLATE.resource, template)
    wait_for(lambda: status_of(client, METRICTEMPLATE.resource, "rate"))
    wait_for(lambda: releases.runs.count("named") >= first + 2)

    time.sleep(0.3)
    before = releases.runs.count("named")
    client.delete(METRICTEMPLATE.resource, "default", "rate")
    wait_for(lambda: releases.runs.count("named") > before)
    assert releases.runs.count("other") == others


def status_of(client: KubeClient, resource: Resource, name: str) -> dict[str, Any] | None:
    return (client.get(resource, "default", name) or {}).get("status")


def test_a_change_that_a_hearer_stumbles_over_ends_no_watch(shell: Shell, client: KubeClient) -> None:
    """The watch tells of the next change without having been made anew."""
    client.create(POOL, a_pool("fatal"))
    client.create(POOL, a_pool("fine"))
    wait_for(lambda: said(client, "fatal") and said(client, "fine"))
    feed, lists = shell.cluster.feed, shell.lists.count(POOL.plural)

    def stumble(resource: Resource, obj: dict[str, Any], *, deleted: bool = False) -> bool:
        if obj["metadata"]["name"] == "fatal":
            raise KeyError("spec")
        return feed(resource, obj, deleted=deleted)

    shell.cluster.feed = stumble  # type: ignore[assignment, method-assign]
    client.merge_patch(POOL, None, "fatal", {"spec": {"resourceName": "example.com/other"}})
    client.merge_patch(POOL, None, "fine", {"spec": {"resourceName": "example.com/other"}})

    wait_for(lambda: said(client, "fine") == "example.com/other")
    assert shell.lists.count(POOL.plural) == lists


def test_a_watch_goes_on_after_the_last_change(api_server: LocalApiServer, client: KubeClient, tmp_path: Path) -> None:
    """kopf is not told of changes, but of how far the watch has come: a new one begins there, without a list."""
    proxy = FaultProxy(api_server.url).start()
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(proxy.url, api_server.token))
    shell = Shell(client, KubeClient.from_kubeconfig(str(path)), silence=1.5).start()
    try:
        client.create(POOL, a_pool("further"))
        wait_for(lambda: said(client, "further"))
        lists = shell.lists.count(POOL.plural)
        changed = client.merge_patch(POOL, None, "further", {"spec": {"resourceName": "example.com/other"}})
        wait_for(lambda: said(client, "further") == "example.com/other")

        def begun() -> list[int]:
            watches = [urlsplit(seen.path) for seen in proxy.seen() if f"/{POOL.plural}?" in seen.path]
            asked = [parse_qs(watch.query) for watch in watches]
            return [int(query["resourceVersion"][0]) for query in asked if "watch" in query]

        wait_for(lambda: max(begun()) >= int(changed["metadata"]["resourceVersion"]))
        assert shell.lists.count(POOL.plural) == lists
    finally:
        shell.stop()
        proxy.stop()


def test_a_deleted_object_goes_at_once_and_is_forgotten(shell: Shell, client: KubeClient) -> None:
    """Nothing holds a deletion, and the worker ends."""
    client.create(POOL, a_pool("leaving"))
    wait_for(lambda: said(client, "leaving"))

    client.delete(POOL, None, "leaving")

    wait_for(lambda: client.get(POOL, None, "leaving") is None)
    wait_for(lambda: "leaving" in shell.gone)


def test_a_child_wakes_its_owner_by_its_labels(shell: Shell, client: KubeClient) -> None:
    """A Deployment's event leads to a pass over the object named by its labels; a stranger's leads to none."""
    sources = shell.recorders["GitSource"]
    spec = {"url": "https://git.example.com/models.git"}
    client.create(GITSOURCE.resource, {"metadata": {"name": "owner", "namespace": "default"}, "spec": spec})
    wait_for(lambda: sources.runs.count("owner") >= 2)
    before = sources.runs.count("owner")
    client.create(DEPLOYMENT, a_deployment("stranger", {OWNER_KIND: "GitSource", OWNER_NAME: "owner"}))
    labels = {MANAGED_BY: MANAGER, OWNER_KIND: "GitSource", OWNER_NAME: "owner"}
    client.create(DEPLOYMENT, a_deployment("child", labels))

    wait_for(lambda: sources.runs.count("owner") > before)
    assert [child["metadata"]["name"] for child in shell.cluster.cached(DEPLOYMENT)] == ["child"]


def a_deployment(name: str, labels: dict[str, str]) -> dict[str, Any]:
    selector = {"app": name}
    template = {"metadata": {"labels": selector}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"selector": {"matchLabels": selector}, "template": template},
    }


def test_a_poisoned_object_harms_no_other(shell: Shell, client: KubeClient) -> None:
    """A bug that one object meets is said in its own status; the others go on."""
    shell.pools.before = lambda obj: 1 / 0 if obj["metadata"]["name"] == "poison" else None
    client.create(POOL, a_pool("poison"))
    client.create(POOL, a_pool("healthy"))

    wait_for(lambda: said(client, "healthy") == "example.com/gpu")
    wait_for(lambda: "ZeroDivisionError" in (said(client, "poison") or ""))


def test_objects_that_were_there_before_the_start_are_seen(client: KubeClient, shell: Shell) -> None:
    """A restart loses nothing: a second shell sees what the first saw."""
    client.create(POOL, a_pool("before"))
    wait_for(lambda: said(client, "before"))
    second = Shell(client).start()
    try:
        wait_for(lambda: "before" in second.pools.runs)
    finally:
        second.stop()


def test_a_stop_takes_less_than_three_seconds(client: KubeClient, shell: Shell) -> None:
    """A successor must not wait for it; objects that sleep and objects that work do not hold it up."""
    second = Shell(client).start()
    client.create(POOL, a_pool("sleeping"))
    wait_for(lambda: "sleeping" in second.pools.runs)
    begun = time.monotonic()

    second.stop()

    assert time.monotonic() - begun < 3


def test_children_are_selected_by_the_server_and_pods_are_not_asked_for(
    api_server: LocalApiServer, client: KubeClient, tmp_path: Path
) -> None:
    """Every list and watch of a child carries our label, but for routes; nobody asks for Pods."""
    proxy = FaultProxy(api_server.url).start()
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(proxy.url, api_server.token))
    shell = Shell(client, KubeClient.from_kubeconfig(str(path))).start()
    try:
        wait_for(lambda: len(proxy.watches()) >= len(watched()))
        asked = [urlsplit(seen.path) for seen in proxy.seen()]
    finally:
        shell.stop()
        proxy.stop()

    for child in CHILDREN:
        about = [parse_qs(one.query) for one in asked if one.path.endswith(f"/{child.plural}")]
        ours = {} if child == HTTPROUTE else {"labelSelector": [f"{MANAGED_BY}={MANAGER}"]}
        assert all(one.get("labelSelector") == ours.get("labelSelector") for one in about)
        assert len(about) >= 2
    assert not [one.path for one in asked if one.path.endswith("/pods")]
