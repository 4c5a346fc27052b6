"""What the chart makes of known values, written to tests/golden/chart/: `python -m tests.golden.chart`.

Without Helm nothing is written, and what is committed stays as it is: `make verify` then sees no difference, and CI,
which has Helm, does.
"""

import sys
from pathlib import Path

from tests.support.helm import KUBERNETES, helm, missing

ROOT = Path(__file__).parent / "chart"
CHART = Path(__file__).parents[2] / "charts" / "modelops"
SETS = sorted(path.name.removesuffix(".values.yaml") for path in ROOT.glob("*.values.yaml"))


def text_of(name: str) -> str:
    """Return what `helm template` makes of one set of values; without the CRDs, which lie in crds/."""
    values = ROOT / f"{name}.values.yaml"
    options = ["--namespace=modelops-system", f"--values={values}", "--set=crds.install=false"]
    made = helm("template", "modelops", str(CHART), f"--kube-version={KUBERNETES}", *options)
    return "# Written by `make generate`, never edited by hand.\n" + made


if __name__ == "__main__":
    lacking = missing()
    if lacking:
        sys.stdout.write(f"tests/golden/chart is left as it is: {lacking}\n")
        sys.exit()
    for one in SETS:
        (ROOT / f"{one}.yaml").write_text(text_of(one), encoding="utf-8")
