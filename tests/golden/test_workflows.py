"""The committed Workflows are what is rendered now."""

import pytest

from tests.golden.workflows import ROOT, rendered, text_of


@pytest.mark.parametrize("name", sorted(rendered()))
def test_golden(name: str) -> None:
    """A change of what runs shows in review; `make generate` writes it anew."""
    assert (ROOT / name).read_text(encoding="utf-8") == text_of(rendered()[name])


def test_nothing_else_lies_there() -> None:
    """A file that nothing renders any more is removed."""
    assert {path.name for path in ROOT.glob("*.yaml")} == set(rendered())


@pytest.mark.parametrize("name", sorted(rendered()))
def test_pods_say_as_whom_they_run(name: str) -> None:
    """Argo's executor is released as an image that starts as root; a pod that only forbids root would never start."""
    security = rendered()[name]["spec"]["securityContext"]

    assert security["runAsNonRoot"]
    assert security["runAsUser"] > 0
    assert security["runAsGroup"] > 0
