"""Brings the bytes of a dataset's file out of git, at one commit, without a checkout.

Called by `main` for prepare. Credentials come from the environment's mapping and go to the git adapter only.
"""

from collections.abc import Callable, Mapping

from modelops.ports import Git, GitRemote
from modelops.steps.context import BadInputError, GitInput, Outputs

MAX_BYTES = 512 << 20
"""Of one file; larger data does not belong into git."""
SCHEMES = ("https", "ssh", "http", "file")
"""Which of them a repository may use was the operator's to decide, before it started this step."""
_CREDENTIALS = {
    "MODELOPS_GIT_USERNAME": "username",
    "MODELOPS_GIT_PASSWORD": "password",
    "MODELOPS_GIT_IDENTITY": "identity",
    "MODELOPS_GIT_KNOWN_HOSTS": "known_hosts",
    "MODELOPS_GIT_BEARER_TOKEN": "bearerToken",
    "MODELOPS_GIT_CA": "ca.crt",
    "MODELOPS_GIT_CA_FILE": "caFile",
}

Fetch = Callable[[], bytes]


def fetch_source(source: GitInput, outputs: Outputs, environment: Mapping[str, str]) -> Fetch:
    """Return what fetches the file when called; nothing is fetched before.

    Raises:
        BadInputError: (when called) the commit has no such file, or another one than the operator saw.
    """

    def fetch() -> bytes:
        return read_file(*open_repository(source.url, outputs, environment), source)

    return fetch


def open_repository(url: str, outputs: Outputs, environment: Mapping[str, str]) -> tuple[Git, GitRemote]:
    """Return a mirror in the step's own scratch, and the remote with the step's credentials."""
    from modelops.adapters import git as adapter  # noqa: PLC0415  a second preparation needs no git at all

    credentials = {key: environment[name].encode() for name, key in _CREDENTIALS.items() if environment.get(name)}
    mirrors = outputs.path("/tmp/modelops-git")  # noqa: S108  the path is below the step's own root
    return adapter.GitMirrors(mirrors, SCHEMES), GitRemote(url, credentials or None)


def read_file(git: Git, remote: GitRemote, source: GitInput) -> bytes:
    """Return the bytes of the file at the commit.

    Raises:
        BadInputError: the commit has no such file, or another one than the operator saw.
    """
    commit = git.fetch(remote, branch=None, tag=None, commit=source.commit)
    blob = git.blob(remote, commit, source.path)
    if blob is None:
        raise BadInputError(f"{source.path}: there is no such file at commit {commit[:10]}; correct spec.source.git")
    if source.blob and blob.oid != source.blob:
        raise BadInputError(
            f"{source.path}: blob {blob.oid[:10]} at commit {commit[:10]} is not the expected {source.blob[:10]}; "
            "reconcile the Dataset again"
        )
    content = git.read(remote, blob, limit=MAX_BYTES)
    if content.startswith(b"version https://git-lfs.github.com/spec/"):
        raise BadInputError(f"{source.path}: this is a Git LFS pointer, which is not followed; commit the file itself")
    return content
