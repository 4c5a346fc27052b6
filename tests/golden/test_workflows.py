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
