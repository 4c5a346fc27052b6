"""Where outcomes may be written: what git or the sync could not take is refused before anything is applied."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelops.cli.main import cli


def said(tmp_path: Path, outcomes: dict[str, Any], **spec: Any) -> str:
    """Return what `validate` says of a GitSource; nothing if it is valid."""
    body = {"url": "https://git.example.com/a.git", "outcomes": outcomes, **spec}
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "GitSource", "metadata": {"name": "models"}}
    (tmp_path / "source.yaml").write_text(yaml.safe_dump({**meta, "spec": body}))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    return found.output if found.exit_code else ""


@pytest.mark.parametrize(
    ("outcomes", "ref", "words"),
    [
        pytest.param({"branch": "main"}, {}, "outcomes.branch is the branch that is synced", id="the default branch"),
        pytest.param(
            {}, {"ref": {"branch": "modelops/outcomes"}}, "outcomes.branch is the branch that is synced", id="both ways"
        ),
        pytest.param({"branch": "refs/heads/x"}, {}, "write its name without refs/heads/", id="a whole ref"),
        pytest.param({"branch": "a..b"}, {}, "git has no such branch", id="two dots"),
        pytest.param({"branch": "a.lock/b"}, {}, "git has no such branch", id="a lock"),
        pytest.param({"branch": "-f"}, {}, "outcomes.branch", id="an option"),
        pytest.param({"branch": "a b"}, {}, "outcomes.branch", id="a space"),
        pytest.param({"branch": "+main"}, {}, "outcomes.branch", id="a forced push"),
        pytest.param({"branch": "x:main"}, {}, "outcomes.branch", id="another branch"),
        pytest.param({"branch": "a/"}, {}, "outcomes.branch", id="a name that ends with a slash"),
        pytest.param({"path": "../x"}, {}, "outcomes.path", id="a path that leaves"),
        pytest.param({"path": "/x"}, {}, "outcomes.path", id="a path from the root"),
        pytest.param({"path": "x/.git"}, {}, "outcomes.path", id="git's own"),
        pytest.param({"author": {"email": "a@b> x"}}, {}, "outcomes.author.email", id="an address that ends early"),
        pytest.param({"author": {"name": "a\nb"}}, {}, "outcomes.author.name", id="a name of two lines"),
        pytest.param({"author": {"name": "a\x07b"}}, {}, "outcomes.author.name", id="a name that rings"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, outcomes: dict[str, Any], ref: dict[str, Any], words: str) -> None:
    """One line with the field."""
    assert words in said(tmp_path, outcomes, **ref)


@pytest.mark.parametrize(
    ("outcomes", "ref"),
    [
        ({}, {}),
        (
            {"branch": "outcomes", "path": "clusters/eu-1", "author": {"name": "ML Robot", "email": "ml@example.com"}},
            {},
        ),
        ({"branch": "main"}, {"ref": {"tag": "v1"}}),
        ({"branch": "main"}, {"ref": {"branch": "production"}}),
    ],
)
def test_what_works_is_taken(tmp_path: Path, outcomes: dict[str, Any], ref: dict[str, Any]) -> None:
    """A source that follows a tag has no branch that could be read again."""
    assert said(tmp_path, outcomes, **ref) == ""
