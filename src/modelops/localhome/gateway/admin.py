"""What a running Envoy says of itself: which files it took, which it refused. The only place that asks it."""

import time
from collections.abc import Callable
from typing import Final

import urllib3

from modelops.errors import Stalled, Transient
from modelops.localhome.gateway.bootstrap import LISTENER, ROUTES

CLUSTERS_STAT: Final = "cluster_manager.cds"
ROUTES_STAT: Final = f"http.{LISTENER}.rds.{ROUTES}"
_VERSION: Final = "version_text"


class EnvoyAdmin:
    """The admin port of one Envoy on loopback.

    Args:
        port: its number.
        stopped: asked while waiting; True ends the wait.
    """

    def __init__(self, port: int, stopped: Callable[[], bool]) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._http = urllib3.PoolManager(retries=False, timeout=2.0)
        self._stopped = stopped

    def stats(self, prefix: str) -> dict[str, str]:
        """Return the figures whose names begin so.

        Raises:
            Transient: Envoy does not answer.
        """
        return {name.removeprefix(f"{prefix}."): value for name, value in self._asked(f"^{prefix}[.]").items()}

    def version(self, stat: str) -> str:
        """Return the version of the file that is in force."""
        return self.stats(stat).get(_VERSION, "")

    def endpoint_versions(self) -> dict[str, str]:
        """Return the version of the endpoints in force, by the name of each cluster that reads them from a file.

        Raises:
            Transient: Envoy does not answer.
        """
        found = self._asked(f"^cluster[.][^.]+[.]{_VERSION}$")
        return {name.split(".")[1]: version for name, version in found.items()}

    def rejected(self, stat: str) -> int:
        """Return how many files of this sort were refused so far."""
        return int(self.stats(stat).get("update_rejected", "0"))

    def wait(self, stat: str, version: str, *, rejected_before: int, seconds: float) -> None:
        """Wait until a version is in force and no cluster is still warming.

        Raises:
            Stalled: Envoy refused the file. Transient: it did not take it in time, or we are to stop.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stopped():
            figures = self.stats(stat)
            if figures.get(_VERSION) == version:
                if stat != CLUSTERS_STAT or self.stats("cluster_manager").get("warming_clusters", "0") == "0":
                    return
            elif int(figures.get("update_rejected", "0")) > rejected_before:
                raise Stalled("EnvoyRefused", f"Envoy refused {stat} version {version}; see its log")
            time.sleep(0.005)
        raise Transient("EnvoySlow", f"Envoy did not take {stat} version {version} within {seconds:.0f} s")

    def _asked(self, pattern: str) -> dict[str, str]:
        try:
            answer = self._http.request("GET", f"{self._url}/stats", fields={"filter": pattern})
        except urllib3.exceptions.HTTPError as error:
            raise Transient("EnvoyAway", f"Envoy's admin port {self._url} does not answer: {error}") from error
        pairs = (line.partition(": ") for line in answer.data.decode().splitlines())
        return {name: value.strip('"') for name, _, value in pairs}
