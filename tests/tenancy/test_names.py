"""A name that is no service account's is refused before anything acts under it."""

import os

import pytest
from pydantic import ValidationError

from modelops import config
from modelops.api.v1alpha1.gitsource import GitSourceSpec
from modelops.errors import Stalled

_BAD = ("system:admin", "modelops-system/modelops", "a:b", "a\nImpersonate-Group: system:masters", "a\n", "A", ".", "")


@pytest.mark.parametrize("name", _BAD)
def test_gitsource_takes_no_other_name(name: str) -> None:
    """The type refuses what the schema refuses, wherever no API server has looked."""
    with pytest.raises(ValidationError, match="serviceAccountName"):
        GitSourceSpec.model_validate({"url": "https://git.example.com/a.git", "serviceAccountName": name})


@pytest.mark.parametrize("name", _BAD[:-1])
def test_setting_takes_no_other_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator does not start, and says which variable."""
    monkeypatch.setenv("MODELOPS_DEFAULT_SERVICE_ACCOUNT", name)
    with pytest.raises(Stalled, match="MODELOPS_DEFAULT_SERVICE_ACCOUNT"):
        config.load(os.environ)
