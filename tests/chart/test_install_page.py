"""docs/install.md is true: its Helm commands, with its values, run one after the other on a real API server."""

import re
import shlex
from pathlib import Path

import pytest

from modelops.api.kinds import DEPLOYMENT, NAMESPACE
from tests.chart.cluster import SYSTEM, Cluster
from tests.support.helm import helm

pytestmark = pytest.mark.real_apiserver
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def test_commands_of_the_page_run(cluster: Cluster, tmp_path: Path) -> None:
    """Install, upgrade, uninstall; the uninstall without its Job, for which there is no node here."""
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
