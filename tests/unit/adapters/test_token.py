"""A token on disk that is replaced, as a pod's own is."""

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from modelops.adapters import in_cluster
from modelops.adapters.token import Token
from modelops.errors import Stalled


def sent(token: Token) -> str:
    return token.headers().get("Authorization", "")


def test_a_token_that_was_replaced_is_sent_from_the_next_request_on(tmp_path: Path) -> None:
    """A projected volume swaps a link."""
    file, newer = tmp_path / "token", tmp_path / "newer"
    file.write_text("first\n")
    token = Token(file=file)
    assert sent(token) == "Bearer first"

    newer.write_text("second\n")
    newer.replace(file)

    assert sent(token) == "Bearer second"


def test_a_token_is_read_again_each_minute_whatever_its_file_says(tmp_path: Path) -> None:
    """A file system may keep the time of change."""
    now = [0.0]
    file = tmp_path / "token"
    file.write_text("first")
    token = Token(file=file, now=lambda: now[0])
    stamp = file.stat()
    file.write_text("later")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert sent(token) == "Bearer first"

    now[0] = 61.0

    assert sent(token) == "Bearer later"


def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    """It says whether there is another one: if not, asking again is of no use."""
    file = tmp_path / "token"
    file.write_text("first")
    token = Token(file=file, now=lambda: 0.0)
    stamp = file.stat()
    assert not token.renewed()

    file.write_text("other")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert token.renewed()
    assert sent(token) == "Bearer other"


def test_a_file_that_is_away_for_a_moment_keeps_the_old_token(tmp_path: Path) -> None:
    """The API server says what it thinks of it."""
    file = tmp_path / "token"
    file.write_text("first")
    token = Token(file=file)

    file.unlink()

    assert sent(token) == "Bearer first"


def test_a_pod_is_configured_by_its_service_account(tmp_path: Path) -> None:
    """Address, authority, namespace and token; an IPv6 address stands in brackets."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"]
    keys = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "ca.crt")]
    subprocess.run([*made, *keys], check=True, capture_output=True)
    (tmp_path / "token").write_text("bound")
    (tmp_path / "namespace").write_text("modelops-system")

    found = in_cluster.load({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)

    assert found is not None
    assert (found.host, found.namespace, sent(found.token)) == (
        "https://[fd00::1]:443",
        "modelops-system",
        "Bearer bound",
    )
    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED


def test_a_pod_without_a_token_is_told_in_one_line(tmp_path: Path) -> None:
    """What is missing and what to do."""
    with pytest.raises(Stalled, match="automountServiceAccountToken"):
        in_cluster.load({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)


def test_outside_of_a_pod_there_is_no_such_configuration(tmp_path: Path) -> None:
    """Then a kubeconfig is needed."""
    assert in_cluster.load({}, tmp_path) is None
