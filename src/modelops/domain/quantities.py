"""Quantities as the Kubernetes API writes them. Pure."""

import re
from decimal import Decimal
from typing import Final

_QUANTITY: Final = re.compile(r"^([+-]?[0-9.]+)(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?[0-9]+))$")
_BINARY: Final = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def quantity(text: str) -> Decimal:
    """Return a quantity of the Kubernetes API as a number, such as 0.5 for `500m`.

    Raises:
        ValueError: it is none.
    """
    found = _QUANTITY.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity such as 500m or 2Gi")
    number, binary, decimal, exponent = found.groups()
    if binary:
        return Decimal(number) * Decimal(1024 ** (_BINARY.index(binary) + 1))
    return Decimal(number).scaleb(int(exponent) if exponent else _DECIMAL[decimal or ""])
