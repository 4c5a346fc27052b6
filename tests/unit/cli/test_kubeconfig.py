"""Kubeconfigs as people have them: certificates inline or in files, tokens, what is left to the Kubernetes package."""

import base64
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelops.adapters import connect, kubeconfig
from modelops.adapters.cluster import KubeClient
from modelops.errors import Stalled
from tests.support.git_server import serving
from tests.support.local_apiserver import LocalApiServer


def a_pair() -> tuple[bytes, bytes]:
    """Return a self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "user")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return builder.sign(key, hashes.SHA256()).public_bytes(pem), plain


def write(tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, **context: Any) -> Path:
    path = tmp_path / "config"
    config = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", **context}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_certificates_may_be_inline_or_files(tmp_path: Path) -> None:
    """Both end in one TLS context; relative paths are relative to the file."""
    certificate, key = a_pair()
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    inline = {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    for user in (inline, {"client-certificate": "cert.pem", "client-key": "key.pem"}):
        authority = {"certificate-authority-data": base64.b64encode(certificate).decode()}
        found = kubeconfig.load(write(tmp_path, user, authority, namespace="team"), None)
        assert found is not None
        assert found.tls is not None
        assert found.tls.verify_mode == ssl.CERT_REQUIRED
        assert found.tls.cert_store_stats()["x509"] == 1
        assert (found.namespace, dict(found.token.headers())) == ("team", {})


def test_tokens_may_be_inline_or_files(tmp_path: Path) -> None:
    """Without a line's end."""
    (tmp_path / "token").write_text("from-file\n")
    inline = kubeconfig.load(write(tmp_path, {"token": "inline"}), "one")
    file = kubeconfig.load(write(tmp_path, {"tokenFile": "token"}), "one")
    assert inline is not None
    assert file is not None
    assert [one.token.headers()["Authorization"] for one in (inline, file)] == ["Bearer inline", "Bearer from-file"]


def test_verification_is_off_only_when_said(tmp_path: Path) -> None:
    """insecure-skip-tls-verify, as kubectl."""
    found = kubeconfig.load(write(tmp_path, {}, {"insecure-skip-tls-verify": True}), None)
    assert found is not None
    assert found.tls is not None
    assert found.tls.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("user", "cluster"),
    [
        pytest.param({"exec": {"command": "aws"}}, {}, id="a program that fetches a token"),
        pytest.param({"auth-provider": {"name": "oidc"}}, {}, id="a plug-in"),
        pytest.param({"username": "a", "password": "b"}, {}, id="a password"),
        pytest.param({}, {"proxy-url": "http://proxy"}, id="a proxy"),
    ],
)
def test_rare_things_are_left_to_the_kubernetes_package(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any]
) -> None:
    """None says so; nothing is half-read."""
    assert kubeconfig.load(write(tmp_path, user, cluster), None) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [", "broken YAML", id="broken YAML"),
        pytest.param("[]", "it is not a kubeconfig", id="a list"),
        pytest.param(
            "contexts: [1]", "its contexts are not a list of name and context", id="contexts of another shape"
        ),
        pytest.param("contexts: [{name: a}]", "it has no current-context", id="no current context"),
        pytest.param(
            "{current-context: a, contexts: [{name: a, context: {cluster: b}}]}",
            "names no cluster with a server",
            id="no such cluster",
        ),
    ],
)
def test_broken_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    """With its path."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(Stalled, match=said) as raised:
        kubeconfig.load(tmp_path / "config", None)
    assert str(tmp_path / "config") in raised.value.message


def test_certificate_that_is_none_is_one_line(tmp_path: Path) -> None:
    """Not a traceback of OpenSSL's."""
    broken = base64.b64encode(b"not a certificate").decode()
    with pytest.raises(Stalled, match="a certificate in it cannot be read"):
        kubeconfig.load(write(tmp_path, {}, {"certificate-authority-data": broken}), None)


def test_without_the_kubernetes_package_the_line_says_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images leave it out; what the quick way reads needs none."""
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    rare = write(tmp_path, {"exec": {"command": "aws"}})
    with pytest.raises(Stalled, match=r"needs the Python package kubernetes.*pip install kubernetes"):
        connect.connection_of(str(rare), None, {})
    assert connect.connection_of(str(write(tmp_path, {"token": "a"})), None, {}).context == "one"


def test_without_any_kubeconfig_the_line_says_where_one_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither named, nor at the usual place, nor a pod's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Stalled, match=rf"no {tmp_path}/.kube/config; set KUBECONFIG"):
        connect.connection_of(None, None, {})


def test_both_ways_of_reading_reach_the_same_server(server: LocalApiServer, tmp_path: Path) -> None:
    """The quick one, and the Kubernetes package's."""
    config = json.loads(server.kubeconfig.read_text())
    config["users"][0]["user"]["as"] = ""
    for name, rare in (("quick", {}), ("package", {"auth-provider": {"name": "none"}})):
        config["users"][0]["user"] |= rare
        (tmp_path / name).write_text(json.dumps(config))
        client = KubeClient.from_kubeconfig(str(tmp_path / name))
        assert "gitVersion" in (client.request("GET", "/version") or {})


def test_certificate_that_nobody_trusts_is_named_by_every_call(tmp_path: Path) -> None:
    """A watch, too: nothing becomes better of waiting."""
    own = tmp_path / "own.pem"
    own.write_bytes(b"".join(a_pair()))
    with serving(tmp_path, certificate=own) as running:
        other = base64.b64encode(a_pair()[0]).decode()
        server = {"server": f"https://127.0.0.1:{running.port}", "certificate-authority-data": other}
        client = KubeClient.from_kubeconfig(str(write(tmp_path, {"token": "t"}, server)))
        with pytest.raises(Stalled, match="ApiCertificate"):
            client.request("GET", "/version")
        with pytest.raises(Stalled, match="ApiCertificate"):
            list(client.lines("/api/v1/pods?watch=1", 5, "pods"))
