"""Customers who go on asking, whatever is killed."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from examples.demo.traffic import Customers

from tests.chaos.house import HOST, House


@contextlib.contextmanager
def customers(house: House) -> Iterator[Counter[tuple[int, str]]]:
    """Send 40 requests a second to the gateway; yield the answers by (status, version)."""
    url = f"{house.program.endpoints()['gateway']}/infer"
    with Customers(url, HOST, [{"inputs": []}], rate=40) as asking:
        yield asking.answers
