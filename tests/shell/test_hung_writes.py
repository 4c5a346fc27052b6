"""Writes that hang until their deadline: over a real API server, with a deadline short enough to be waited for."""

from pathlib import Path

import pytest
import urllib3

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL
from tests.shell.conftest import Shell, a_pool, said, wait_for
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Delay, Drop, Fault, Rule
from tests.support.kube_apiserver import kubeconfig
from tests.support.local_apiserver import LocalApiServer

POOL = COMPUTEPOOL.resource
DEADLINE = 1.5
"""Of every call; in production it is 30 s. Seconds."""


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(Drop(), None, id="it never arrives"),
        pytest.param(Delay(2 * DEADLINE), 409, id="it arrives when it was given up"),
    ],
)
def test_a_write_that_hangs_is_given_up_and_lands_once(
    api_server: LocalApiServer, client: KubeClient, tmp_path: Path, fault: Fault, code: int | None
) -> None:
    """Other objects go on meanwhile; then the failure is told and mended, a write each; what comes late is refused."""
    proxy = FaultProxy(api_server.url).start()
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(proxy.url, api_server.token))
    deadline = urllib3.Timeout(connect=2, read=DEADLINE)
    shell = Shell(KubeClient.from_kubeconfig(str(path), deadline=deadline)).start()

    def answers() -> list[int | None]:
        return [seen.code for seen in proxy.seen() if seen.method == "PUT" and "/hung/status" in seen.path]

    try:
        proxy.add(Rule(fault, method="PUT", path="/hung/status", times=1))
        client.create(POOL, a_pool("hung"))
        wait_for(answers)
        client.create(POOL, a_pool("brisk"))
        wait_for(lambda: said(client, "brisk"), DEADLINE / 2)
        assert said(client, "hung") is None

        wait_for(lambda: said(client, "hung") == "example.com/gpu")
        wait_for(lambda: answers() == [code, 200, 200])
        client.merge_patch(POOL, None, "hung", {"spec": {"resourceName": "example.com/later"}})
        wait_for(lambda: said(client, "hung") == "example.com/later")
        wait_for(lambda: answers()[-1])
        assert answers() == [code, 200, 200, 200]
    finally:
        shell.stop()
        proxy.stop()
