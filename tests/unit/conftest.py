"""What unit tests of more than one part use."""

import pytest

from tests.support import prometheus


@pytest.fixture(scope="session")
def promtools() -> list[str]:
    """Return the promtool of each Prometheus."""
    found = prometheus.promtools()
    if not found:
        pytest.skip("promtool is not installed; `make setup` brings it")
    return found
