"""Images for a whole session: built once, unpacked once, removed from where they were unpacked."""

from collections.abc import Iterator

import pytest

from tests.images import containers
from tests.images.containers import Image


def _opened(target: str) -> Iterator[Image]:
    if lacking := containers.missing():
        pytest.skip(lacking)
    image = Image.open(containers.build(target))
    yield image
    image.close()


@pytest.fixture(scope="session")
def operator() -> Iterator[Image]:
    yield from _opened("operator")


@pytest.fixture(scope="session")
def server() -> Iterator[Image]:
    yield from _opened("server")


@pytest.fixture(params=["operator", "server"])
def image(request: pytest.FixtureRequest) -> Image:
    """One after the other."""
    found: Image = request.getfixturevalue(request.param)
    return found
