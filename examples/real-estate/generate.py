"""Makes synthetic real-estate listings from a seed. No row describes a real house; the price formula stands below.

The table has what real tables have: missing values, repeated rows, and a few prices far off.
"""

import csv
import io
import math
import random
from pathlib import Path

COLUMNS = ("listing_id", "living_area", "year_built", "year_sold", "kind", "rooms", "price")
COUNT = 3000
SEED = 20240501
_KINDS = {"house": 1.25, "flat": 1.0, "loft": 1.1}


def rows(count: int = COUNT, seed: int = SEED) -> list[dict[str, object]]:
    """Return listings; missing values are empty texts."""
    chance = random.Random(seed)  # noqa: S311  synthetic data, not a secret
    listings: list[dict[str, object]] = []
    for number in range(count):
        kind = chance.choice(tuple(_KINDS))
        area = round(min(400.0, max(18.0, chance.lognormvariate(4.5, 0.45))), 1)
        built, sold = chance.randint(1900, 2020), chance.randint(2021, 2024)
        age = sold - built
        price = 3200 * area**0.92 * _KINDS[kind] * (1 - 0.0035 * min(age, 90)) * 1.03 ** (sold - 2021)
        price *= math.exp(chance.gauss(0, 0.03))
        if chance.random() < 0.005:
            price *= chance.choice((0.4, 2.5))
        listings.append(
            {
                "listing_id": f"listing-{number:05d}",
                "living_area": area,
                "year_built": built,
                "year_sold": sold,
                "kind": kind,
                "rooms": "" if chance.random() < 0.06 else max(1, round(area / 26)),
                "price": round(price),
            }
        )
    # The same listing delivered twice, as exports do.
    return listings + [dict(listings[chance.randrange(count)]) for _ in range(count // 100)]


def table() -> bytes:
    """Return the CSV file, UTF-8; the same bytes every time."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())
    return buffer.getvalue().encode()


def write(directory: Path) -> Path:
    """Write `data/listings.csv` below a directory and return its path."""
    path = directory / "data" / "listings.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(table())
    return path
