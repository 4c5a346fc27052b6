"""What an account writes passes the Lease's fence, as every other write."""

import urllib3

from modelops.adapters.clock import steady
from modelops.adapters.cluster import KubeClient
from modelops.adapters.connect import pool_of
from modelops.adapters.fence import Fence
from modelops.adapters.kubeconfig import Connection
from modelops.adapters.token import Token
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import CONFIGMAP
from modelops.errors import ModelopsError

_OBJ = {"metadata": {"name": "c", "namespace": "team", "uid": "u", "resourceVersion": "1"}}


def _said(fence: Fence) -> list[str]:
    """Return the reasons why each write under an account failed; nobody listens at the address."""
    nobody = Connection("http://127.0.0.1:9", None, None, Token(), "team", "")
    client = KubeClient(nobody, pool_of(nobody, urllib3.Timeout(1)), {}, fence)
    acting = client.acting_as(ServiceAccount("team", "sync"))
    reasons = []
    for write in (
        lambda: acting.apply(CONFIGMAP, _OBJ),
        lambda: acting.create(CONFIGMAP, _OBJ),
        lambda: acting.delete(CONFIGMAP, "team", "c"),
    ):
        try:
            write()
        except ModelopsError as error:
            reasons.append(error.reason)
    return reasons


def test_account_writes_nothing_once_another_operator_may_lead() -> None:
    """Nothing is sent while the fence is closed; once it is held the same writes are tried."""
    fence = Fence()
    assert _said(fence) == ["NotLeader"] * 3

    fence.hold(steady() + 60)
    assert _said(fence) == ["ApiUnreachable"] * 3
