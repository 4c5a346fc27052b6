"""Writes scikit-learn's 1797 real handwritten digits (8 by 8 pixels, 0 to 16) as CSV: id, 64 pixels, digit."""

import csv
import io
from pathlib import Path

PIXELS = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))


def rows() -> list[dict[str, object]]:
    """Return the digits as rows: `id`, the pixels as whole numbers, and `digit`."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  takes seconds, and not every caller needs the data

    digits = load_digits()
    return [
        {"id": f"digit-{number:04d}", **dict(zip(PIXELS, map(int, image), strict=True)), "digit": int(label)}
        for number, (image, label) in enumerate(zip(digits.data, digits.target, strict=True))
    ]


def table() -> bytes:
    """Return the CSV file, UTF-8; the same bytes every time."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["id", *PIXELS, "digit"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())
    return buffer.getvalue().encode()


def write(directory: Path) -> Path:
    """Write `data/digits.csv` below a directory and return its path."""
    path = directory / "data" / "digits.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(table())
    return path
