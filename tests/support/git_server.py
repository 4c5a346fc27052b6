"""Real repositories, and a real smart HTTP server for them: `git http-backend` behind http.server.

`Repository` is a bare repository that tests push to with plain git; `serving` puts a directory of them on a free
loopback port, with basic authentication if asked for.
"""

import base64
import contextlib
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_AUTHOR_DATE": "2026-01-01T12:00:00Z",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
    "GIT_COMMITTER_DATE": "2026-01-01T12:00:00Z",
}


def git(directory: Path, *words: str, stdin: bytes | None = None, **environment: str) -> str:
    """Run git in a directory, free of the user's configuration; return its output without the last newline."""
    done = subprocess.run(
        ["git", *words],
        cwd=directory,
        env={**_ENVIRONMENT, **environment},
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


@dataclass(slots=True)
class Repository:
    """A bare repository; commits are made in it without a work tree."""

    path: Path

    @classmethod
    def make(cls, path: Path, **files: str) -> "Repository":
        """Make one with branch main, holding the files (as for `commit`)."""
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "--initial-branch=main")
        made = cls(path)
        made.commit({"README.md": "hello\n", **files})
        return made

    @property
    def url(self) -> str:
        """As file://."""
        return f"file://{self.path}"

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        *,
        branch: str = "main",
        orphan: bool = False,
        modes: Mapping[str, str] | None = None,
    ) -> str:
        """Commit changes onto a branch; None removes a file, `orphan` forgets what was there (a forced push).

        Args:
            files: content by path.
            branch: made when missing.
            orphan: start from nothing.
            modes: of files that are not regular: 120000 (the content is the link's target), 160000 (a commit id).
        """
        index = str(self.path / "test-index")
        parent = "" if orphan else self._tip(branch)
        git(self.path, "read-tree", parent or "--empty", GIT_INDEX_FILE=index)
        lines = b""
        for name, content in files.items():
            mode = (modes or {}).get(name, "100644")
            data = content.encode() if isinstance(content, str) else content
            if data is None:
                mode, oid = "0", "0" * 40
            elif mode == "160000":
                oid = data.decode()
            else:
                oid = git(self.path, "hash-object", "-w", "--stdin", stdin=data)
            lines += f"{mode} {oid}\t".encode() + os.fsencode(name) + b"\0"
        git(self.path, "update-index", "-z", "--index-info", stdin=lines, GIT_INDEX_FILE=index)
        tree = git(self.path, "write-tree", GIT_INDEX_FILE=index)
        commit = git(self.path, "commit-tree", tree, *(["-p", parent] if parent else []), "-m", "change")
        git(self.path, "update-ref", f"refs/heads/{branch}", commit)
        return commit

    def let_push(self) -> None:
        """Let everybody who may read push over HTTP; by default nobody may."""
        git(self.path, "config", "http.receivepack", "true")

    def hook(self, name: str, script: str) -> None:
        """Have a hook on the server's side."""
        path = self.path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _tip(self, branch: str) -> str:
        return git(self.path, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")


@dataclass(slots=True)
class GitServer:
    """What tests know of a running server, and may change while it runs."""

    root: Path
    address: str = "127.0.0.1"
    port: int = 0
    user: str = ""
    password: str = ""
    """Empty: everybody may read."""
    token: str = ""
    """Wanted as a bearer token, if given."""
    tls: bool = False
    hang: threading.Event | None = None
    """While given and unset, no request is answered."""
    status: int = 0
    """Answer this to everything, such as 503."""
    sent: int = 0
    """Bytes of all answers."""
    requests: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    """Told of each request before it is answered: `GET /models.git/info/refs?service=git-receive-pack`."""

    def url(self, name: str) -> str:
        """Return the URL of a repository below the root."""
        return f"{'https' if self.tls else 'http'}://{self.address}:{self.port}/{name}"

    def admits(self, header: str | None) -> bool:
        """Return whether an Authorization header is the right one."""
        if self.token:
            return header == f"Bearer {self.token}"
        wanted = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return not self.password or header == f"Basic {wanted}"


@contextlib.contextmanager
def serving(
    root: Path,
    *,
    user: str = "",
    password: str = "",
    token: str = "",
    certificate: Path | None = None,
    address: str = "127.0.0.1",
) -> Iterator[GitServer]:
    """Serve the repositories below a directory until the block ends; over TLS with a certificate (and key) in PEM."""
    server = GitServer(root, address, user=user, password=password, token=token, tls=certificate is not None)
    handler = type("Handler", (_Handler,), {"told": server})
    with ThreadingHTTPServer((address, 0), handler) as http:
        http.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http.socket = context.wrap_socket(http.socket, server_side=True)
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            if server.hang is not None:
                server.hang.set()
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Hands every request to `git http-backend`, as a web server would."""

    told: GitServer
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing; `GitServer.requests` has it."""

    def _answer(self) -> None:
        self.told.requests.append(f"{self.command} {self.path}")
        body = self._body()
        self.told.before(self.told.requests[-1])
        if self.told.hang is not None:
            self.told.hang.wait(60)
        if not self.told.admits(self.headers.get("Authorization")):
            self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        elif self.told.status:
            self._send(self.told.status, [], b"")
        else:
            self._backend(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _backend(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        environment = {
            **_ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.told.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().splitlines() if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self._send(status, [header for header in headers if header[0] != "Status"], content)

    def _send(self, status: int, headers: list[tuple[str, ...]], content: bytes) -> None:
        self.told.sent += len(content)
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


def authority(directory: Path) -> tuple[bytes, Path]:
    """Make a certificate authority, and a certificate of it for 127.0.0.1; return its PEM and the file of the other."""
    directory.mkdir(parents=True, exist_ok=True)

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=team authority", "-keyout", "ca.key", "-out", "ca.crt")
    openssl(*new, "-subj", "/CN=git", "-keyout", "git.key", "-out", "git.csr")
    (directory / "names").write_text("subjectAltName = IP:127.0.0.1\n")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "git.csr", *signed, "-out", "git.crt")
    both = directory / "git.pem"
    both.write_bytes((directory / "git.crt").read_bytes() + (directory / "git.key").read_bytes())
    return (directory / "ca.crt").read_bytes(), both
