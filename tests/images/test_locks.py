"""The locks of the images are those of pyproject.toml, at the versions that the tests run with. No network needed."""

import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from scripts import locks

PROJECT = tomllib.loads((locks.ROOT / "pyproject.toml").read_text())
TARGETS = [*locks.IMAGES, locks.BUILD]


def pinned(text: str) -> dict[str, dict[str, frozenset[str]]]:
    """Return name → version with its marker → hashes."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for block in text.replace("\\\n", " ").splitlines():
        if block.startswith((" ", "#")) or not block.strip():
            continue
        requirement, *hashes = block.split(" --hash=")
        read = Requirement(requirement.strip())
        hashed = frozenset(one.strip() for one in hashes)
        found.setdefault(canonicalize_name(read.name), {})[f"{read.specifier};{read.marker}"] = hashed
    return found


def wanted(target: str) -> Iterator[Requirement]:
    """Yield what pyproject.toml asks for."""
    if target == locks.BUILD:
        yield from map(Requirement, PROJECT["build-system"]["requires"])
        return
    extra = PROJECT["project"]["optional-dependencies"][target]
    left_out = locks.IMAGES[target]
    named = [Requirement(text) for text in (*PROJECT["project"]["dependencies"], *extra)]
    assert set(left_out) <= {one.name for one in named}, "what is left out is asked for"
    yield from (one for one in named if one.name not in left_out)


EVERYTHING = pinned(locks.EVERYTHING.read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_lock_has_what_the_project_asks_for_and_nothing_that_is_left_out(target: str) -> None:
    """A dependency that is added or raised in pyproject.toml asks for `make locks`."""
    found = pinned(locks.lock_of(target).read_text())
    for requirement in wanted(target):
        versions = found[canonicalize_name(requirement.name)]
        for version in versions:
            number = Version(version.partition(";")[0].removeprefix("=="))
            assert requirement.specifier.contains(number), f"{requirement} is locked at {version}"
    assert not found.keys() & set(locks.IMAGES.get(target, ()))
    assert "torch" not in found or target == "trainer"


@pytest.mark.parametrize("target", locks.IMAGES)
def test_image_installs_what_the_tests_run_with(target: str) -> None:
    """The same versions and hashes as requirements.lock."""
    for name, versions in pinned(locks.lock_of(target).read_text()).items():
        assert all(versions.values()), f"{name} has no hash"
        same = {version.partition(";")[0]: hashes for version, hashes in EVERYTHING[name].items()}
        for version, hashes in versions.items():
            assert hashes == same[version.partition(";")[0]], f"{name}{version}"
