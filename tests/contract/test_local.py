"""What our server does beyond a kube-apiserver alone: cascades, guards, surviving a kill; and its clients."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.client import Api, eventually
from tests.contract.conftest import CRDS, REPOSITORY
from tests.support.local_apiserver import LocalApiServer


def owned_by(owner: dict) -> dict:
    meta = owner["metadata"]
    return {
        "ownerReferences": [
            {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
        ]
    }


def test_background_cascade(local: Api) -> None:
    """Deleting an owner deletes its dependents and theirs."""
    child = local.create("child", owned_by(local.create("owner")))
    local.create("grandchild", owned_by(child))
    local.call("DELETE", local.path("widgets", "owner"))
    eventually(lambda: not local.call("GET", local.path("widgets")).body["items"])


def test_foreground_cascade(local: Api) -> None:
    """Foreground deletion keeps the owner until its dependents are gone."""
    local.create("child", owned_by(local.create("owner")) | {"finalizers": ["test.dev/f"]})
    local.call("DELETE", local.path("widgets", "owner"), propagationPolicy="Foreground")
    eventually(lambda: local.get("child").body["metadata"].get("deletionTimestamp"))
    assert local.get("owner").code == 200
    local.patch("child", {"metadata": {"finalizers": None}})
    eventually(lambda: local.get("owner").code == 404)


def test_orphan(local: Api) -> None:
    """Orphan deletion leaves the dependents without the reference."""
    local.create("child", owned_by(local.create("owner")))
    local.call("DELETE", local.path("widgets", "owner"), propagationPolicy="Orphan")
    eventually(lambda: local.get("owner").code == 404)
    assert "ownerReferences" not in local.get("child").body["metadata"]


def test_child_of_nobody(local: Api) -> None:
    """A dependent whose owner is already gone is collected."""
    owner = local.create("owner")
    local.call("DELETE", local.path("widgets", "owner"))
    local.create("late", owned_by(owner))
    eventually(lambda: local.get("late").code == 404)


def test_namespace_deletion(local: Api) -> None:
    """Deleting a Namespace deletes what is in it, and then the Namespace."""
    local.create("w")
    local.call("DELETE", f"/api/v1/namespaces/{local.namespace}")
    eventually(lambda: local.call("GET", f"/api/v1/namespaces/{local.namespace}").code == 404)
    assert local.get("w").code == 404


def test_foreign_host(local: Api) -> None:
    """A request with another Host than loopback is a 403, whatever its token."""
    local.headers = {"Host": "evil.example.com"}
    assert local.call("GET", local.path("widgets")).code == 403


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer wrong", "Basic YTpi"])
def test_no_token(local: Api, value: str) -> None:
    """Without the token everything but health and version is a 401."""
    local.headers = {"Authorization": value}
    assert local.call("GET", local.path("widgets")).code == 401
    assert local.call("GET", "/apis").code == 401
    assert local.call("GET", "/healthz").code == 200


def test_impersonation(local: Api) -> None:
    """Impersonate headers are accepted and ignored: the one user stays who it is, and may do what it may."""
    local.headers = {"Impersonate-User": "system:serviceaccount:other:nobody", "Impersonate-Group": "nobodies"}
    made = local.create("w")
    assert made["metadata"]["managedFields"][0]["manager"] == "test"
    review = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "secrets", "namespace": "kube-system"}}}
    answer = local.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.body["status"]["allowed"]
    assert "serviceaccounts" not in [found["name"] for found in local.call("GET", "/api/v1").body["resources"]]


def test_private_files(local_server: LocalApiServer) -> None:
    """Token, key and kubeconfig can be read by their owner only."""
    for name in ("token", "api.db.pem", "kubeconfig"):
        assert (local_server.directory / name).stat().st_mode & 0o077 == 0


def test_kill(tmp_path: Path) -> None:
    """After kill -9 every acknowledged write is there, and resourceVersions go on rising."""
    server = LocalApiServer(tmp_path, CRDS).start()
    try:
        api = Api(server.url, server.token, "default")
        last = [api.create(f"w{index}") for index in range(50)][-1]
        server.stop(signal.SIGKILL)
        server.start()
        items = api.call("GET", api.path("widgets")).body["items"]
        assert len(items) == 50
        assert api.get("w49").body == last
        assert int(api.create("next")["metadata"]["resourceVersion"]) > int(last["metadata"]["resourceVersion"])
    finally:
        server.stop()


def test_second_server(local_server: LocalApiServer) -> None:
    """A second server over the same file is refused in one line."""
    with pytest.raises(RuntimeError, match="another API server has this file open"):
        LocalApiServer(local_server.directory, CRDS).start()


@pytest.fixture
def kubectl(tmp_path: Path):
    """Run kubectl against a server with the kinds of modelops."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not on PATH: install it to see that it works against the local API server")
    server = LocalApiServer(tmp_path / "state", REPOSITORY / "crds").start()

    def run(*arguments: str, given: str = "", code: int = 0) -> str:
        environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "HOME": str(tmp_path)}
        done = subprocess.run(
            [program, *arguments], input=given, capture_output=True, text=True, env=environment, timeout=30, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    yield run
    server.stop()


GITSOURCE = """
apiVersion: modelops.dev/v1alpha1
kind: GitSource
metadata: {name: pricing}
spec: {url: "https://git.example.com/pricing.git", ref: {branch: main}, path: deploy, interval: 1m}
"""


def test_kubectl(kubectl) -> None:
    """kubectl apply, get, describe, explain, wait and delete work for our kinds, columns included."""
    assert "created" in kubectl("apply", "-f", "-", given=GITSOURCE)
    assert "unchanged" in kubectl("apply", "-f", "-", given=GITSOURCE)
    assert "configured" in kubectl("apply", "-f", "-", given=GITSOURCE.replace("1m", "2m"))
    assert "serverside-applied" in kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=GITSOURCE)
    condition = {"type": "Ready", "status": "True", "reason": "Synced", "message": "all of it", "observedGeneration": 3}
    status = {"status": {"conditions": [condition | {"lastTransitionTime": "2030-01-01T00:00:00Z"}]}}
    kubectl("patch", "gitsource", "pricing", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "gitsource/pricing", "--timeout=10s")
    head, row = kubectl("get", "gitsources", "-o", "wide").splitlines()[:2]
    assert head.split() == ["NAME", "READY", "REASON", "REVISION", "AGE", "STATUS"]
    assert row.split()[:3] == ["pricing", "True", "Synced"]
    assert row.endswith("all of it")
    assert "pricing" in kubectl("get", "modelops")
    assert "Synced" in kubectl("describe", "gitsource", "pricing")
    assert "FIELD: url <string>" in kubectl("explain", "gitsource.spec.url")
    assert "must be" in kubectl("apply", "-f", "-", given=GITSOURCE.replace("path: deploy", "path: 5"), code=1)
    assert 'unknown field "spec.bogus"' in kubectl(
        "apply", "-f", "-", given=GITSOURCE.replace("path:", "bogus: 1, path:"), code=1
    )
    assert "deleted" in kubectl("delete", "gitsource", "pricing", "--timeout=10s")
    assert "NotFound" in kubectl("get", "gitsource", "pricing", code=1)


OPERATOR = """
import kopf

@kopf.on.event("widgets")
def seen(**_):
    pass

@kopf.daemon("widgets", id="tell")
async def tell(spec, patch, stopped, **_):
    patch.status["phase"] = f"size {spec['size']}"

@kopf.on.delete("widgets", id="bye")
def bye(**_):
    pass

@kopf.on.update("widgets", field="spec.size", id="again")
def again(spec, patch, **_):
    patch.status["phase"] = f"size {spec['size']}"
"""


def test_kopf(tmp_path: Path) -> None:
    """An unchanged kopf operator finds its kinds, handles objects, writes status, and lets go of what is deleted."""
    server = LocalApiServer(tmp_path / "state", CRDS).start()
    script = tmp_path / "operator_under_test.py"
    script.write_text(OPERATOR)
    environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig)}
    log = (tmp_path / "log").open("w")
    command = [sys.executable, "-m", "kopf", "run", "--all-namespaces", "--standalone", str(script)]
    operator = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        api = Api(server.url, server.token, "default")
        for index in range(5):
            api.create(f"w{index}", size=index + 1)

        def told(size: int) -> bool:
            return all(
                api.get(f"w{index}").body.get("status", {}).get("phase") == f"size {index + size}" for index in range(5)
            )

        eventually(lambda: told(1), (tmp_path / "log").read_text)
        for index in range(5):
            api.patch(f"w{index}", {"spec": {"size": index + 11}})
        eventually(lambda: told(11), (tmp_path / "log").read_text)
        assert api.get("w0").body["metadata"]["finalizers"]
        api.call("DELETE", api.path("widgets"))
        eventually(lambda: not api.call("GET", api.path("widgets")).body["items"], (tmp_path / "log").read_text)
    finally:
        operator.terminate()
        operator.wait(15)
        log.close()
        server.stop()
