"""Whether a regular expression is one that RE2 takes, which gateways match with. Pure.

RE2 itself is not here, so the answer errs on the side of no: a gateway that is told a pattern it cannot compile may
refuse every other route with it.
"""

import math
import re
import warnings
from typing import Final

_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:[ims]+[:)]|P<|.?)|[*+?}]\+|.", re.DOTALL)
_ESCAPES: Final = frozenset("dDsSwWbBAntrfva")
_GROUP: Final = re.compile(r"\(\?(?::|[ims]+[:)]|P<)")
_COUNTED: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_REPEATS: Final = 1000
"""RE2's limit, of all counts that may stand within each other."""


def refused(pattern: str) -> str:
    """Return why a pattern is not taken, or nothing."""
    if not pattern.isprintable():
        return "it holds characters that cannot be printed"
    for token in _TOKEN.findall(pattern):
        if _is_foreign(token):
            return f"there is no {token}"
    repeats = math.prod(max(1, int(most or least)) for least, most in _COUNTED.findall(pattern))
    if repeats > _REPEATS:
        return f"it repeats up to {repeats} times, and {_REPEATS} are the limit"
    try:
        with warnings.catch_warnings():
            # What Python takes with a warning, such as [[:alpha:]], means something else there.
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, RecursionError) as error:
        return str(error)
    return ""


def _is_foreign(token: str) -> bool:
    """Return whether Python reads a token as something that RE2 does not have."""
    if token.startswith("[") and len(token) > 1:
        return any(_is_foreign(escape) for escape in re.findall(r"\\.", token))
    if token.startswith("\\"):
        return token[1:].isalnum() and token[1:] not in _ESCAPES
    if token.startswith("(?"):
        return not _GROUP.match(token)
    return len(token) > 1
