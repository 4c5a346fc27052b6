"""docs/tenancy.md is true: its commands, run as they stand, make a tenant that syncs, and take its rights away."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.git_server import Repository
from tests.support.kube_apiserver import kubeconfig
from tests.tenancy.conftest import Cluster, Team, configmap

pytestmark = pytest.mark.real_apiserver

PAGE = Path(__file__).parents[2] / "docs" / "tenancy.md"
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def kubectl(cluster: Cluster, tmp_path: Path) -> Callable[..., str]:
    """Run kubectl as an administrator."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not on PATH: install it to see that docs/tenancy.md is true")
    config = tmp_path / "kubeconfig"
    config.write_text(kubeconfig(cluster.server.url, cluster.server.token))

    def run(*words: str, given: str | None = None) -> str:
        command = [program, f"--kubeconfig={config}", *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    return run


def test_commands_of_the_docs_make_a_tenant(
    cluster: Cluster, operator: object, kubectl: Callable[..., str], tmp_path: Path
) -> None:
    """In the order of the page; only the repository's address is another."""
    team = Team(cluster, "pricing", Repository.make(tmp_path / "pricing"))
    commit = team.repository.commit({"deploy/c.yaml": configmap("c")})
    blocks = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [language for language, _ in blocks] == ["sh", "yaml", "sh", "sh"]
    (_, setup), (_, manifest), (_, asked), (_, withdrawn) = blocks

    for line in setup.splitlines():
        kubectl(*shlex.split(line)[1:])
    address = "https://git.example.com/pricing/models.git"
    assert address in manifest
    kubectl("apply", "-f", "-", given=manifest.replace(address, team.repository.url) + "  interval: 1s\n")
    team.synced("models", commit=commit)
    answers = [kubectl(*shlex.split(line)[1:]) for line in asked.splitlines() if line.startswith("kubectl")]
    assert [answer.strip() for answer in answers] == ["yes", "yes"]

    kubectl(*shlex.split(withdrawn)[1:])
    team.says("ImpersonationForbidden", name="models")
    assert team.configmap("c")


def test_every_reason_of_the_docs_is_one_that_is_told() -> None:
    """The tables name reasons as conditions have them."""
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    source = Path(__file__).parents[2] / "src" / "modelops"
    written = " ".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    assert told == {reason for reason in told if f'"{reason}"' in written}
    assert len(told) == 5
