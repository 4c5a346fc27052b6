"""Who the server is and who may ask it: its certificate, its token, and the kubeconfig that carries both.

kubectl sends a token over TLS only, so the server speaks nothing else; the certificate is its own and signs itself.
Every file is made once, readable by its owner alone.
"""

import base64
import ipaddress
import json
import os
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=3650)


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else can read, all of it or nothing."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    beside.replace(path)


def ensure_token(path: Path) -> str:
    """Return the bearer token in a file; make it if it is not there.

    Raises:
        ValueError: the file is empty.
    """
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32).encode() + b"\n")
    token = path.read_text(encoding="utf-8").strip()
    if not token:
        msg = f"{path} is empty: remove it, and a new token is made"
        raise ValueError(msg)
    return token


def ensure_certificate(path: Path) -> Path:
    """Return the path of a PEM file with key and certificate for loopback; make it if it is not there."""
    if path.exists():
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "modelops local API server")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_private(path, private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def tls(path: Path) -> ssl.SSLContext:
    """Return the server's side of TLS for a PEM file of `ensure_certificate`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


def write_kubeconfig(path: Path, certificate: Path, token: str, port: int) -> None:
    """Write the kubeconfig by which every client finds, trusts and is known to the server; its context is `local`."""
    pem = certificate.read_text(encoding="utf-8")
    authority = pem[pem.index("-----BEGIN CERTIFICATE-----") :].encode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [
            {
                "name": "local",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "local", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local", "namespace": "default"}}],
    }
    # JSON is YAML, and needs no quoting rules.
    _write_private(path, json.dumps(config, indent=2).encode() + b"\n")
