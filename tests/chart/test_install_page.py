"""docs/install.md is true: its commands, with its values, run one after the other on a real API server."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from modelops.api.kinds import DATASET, DEPLOYMENT, NAMESPACE
from tests.chart.cluster import SYSTEM, Cluster
from tests.support.helm import helm
from tests.support.operators import served, until

pytestmark = pytest.mark.real_apiserver
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def test_commands_of_the_page_run(cluster: Cluster, tmp_path: Path) -> None:
    """Install, upgrade, uninstall, remove everything; the uninstall without its Job, for which no node is here."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on PATH: install it to see that docs/install.md is true")
    (tmp_path / "values.yaml").write_text("\n".join(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)))
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    cluster.admin.apply(NAMESPACE, {"metadata": {"name": "pricing"}})
    blocks = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    lines = [shlex.split(line)[1:] for line in blocks.splitlines() if line.startswith("helm ")]
    assert [words[0] for words in lines] == ["install", "upgrade", "uninstall"]
    for words in lines:
        told = [str(tmp_path / word) if word in {"values.yaml", "charts/modelops"} else word for word in words]
        helm(*told, *(["--no-hooks"] if words[0] == "uninstall" else []), kubeconfig=cluster.config)
        assert (cluster.admin.get(DEPLOYMENT, SYSTEM, "modelops") is None) == (words[0] == "uninstall")
    until(lambda: served(cluster.admin, DATASET.resource), 30, "the definitions have stayed", 0.2)
    for words in [shlex.split(line)[1:] for line in blocks.splitlines() if line.startswith("kubectl ")]:
        command = [kubectl, f"--kubeconfig={cluster.config}", *words]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    until(lambda: not served(cluster.admin, DATASET.resource), 30, "the definitions are gone", 0.2)
