"""A team's own training code in pods of the real Argo Workflows: it trains, and it is walled off from credentials."""

from pathlib import Path

from modelops.api.kinds import DATASET, TRAININGRUN
from tests.chaos.house import git
from tests.e2e.stories.estate import Estate
from tests.local.test_own_trainer import HARVEST, LINEAR, REGRESSION, Farm

NAMESPACE = "story-own"
WALLS = """
import os, pathlib
token = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
assert not token.exists() or not list(token.iterdir()), "the pod's own token can be read"
argo = pathlib.Path("/var/run/argo")
assert not argo.exists() or not list(argo.iterdir()), "Argo's own files can be read"
assert "mlflow" not in os.environ.get("ARGO_TEMPLATE", ""), "the registry's address can be read"
"""


def test_own_code_trains_behind_walls(trains: Estate, tmp_path: Path) -> None:
    """Given code that looks for tokens and Argo's files, when it finds none and trains, then it has a version."""
    farm = Farm(tmp_path)
    farm.write("data/fields.csv", fields())
    numbers = REGRESSION.replace("TASK", "regression").replace("TARGET", "harvest")
    farm.write("deploy/fields.yaml", numbers.replace("COLUMN", "{name: harvest, type: float}"))
    farm.chain("harvest", "fields", WALLS + HARVEST, LINEAR, "{metric: r2_score, min: 0.99}")
    git(tmp_path, "init", "-q", "-b", "main", str(farm.repo))
    farm.commit("A farm")

    with trains.repository(tmp_path, "farm", NAMESPACE, url="farm/.git"):
        trains.until_ready(DATASET, NAMESPACE, "fields", 240)
        status = trains.until(
            TRAININGRUN,
            NAMESPACE,
            "harvest",
            lambda _: trains.ready(TRAININGRUN, NAMESPACE, "harvest")[1] in SETTLED,
            300,
        )

    assert trains.ready(TRAININGRUN, NAMESPACE, "harvest") == ("True", "Registered"), status
    assert status["metrics"]["r2_score"] > 0.99
    assert status["lineage"]["codeDigest"].startswith("sha256:")


SETTLED = ("Registered", "Failed", "CriteriaNotMet")


def fields() -> str:
    """Return rows whose harvest follows from rain and sun."""
    rows = [(f"f{n}", n * 37 % 100, n * 53 % 12) for n in range(400)]
    lines = [f"{name},{rain},{sun},{2 * rain + 30 * sun + 5},wet" for name, rain, sun in rows]
    return "\n".join(["field,rain,sun,harvest,kind", *lines, ""])
