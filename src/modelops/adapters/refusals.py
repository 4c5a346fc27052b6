"""What the API server's refusals mean to us: each status code as one of our errors."""

import json
from datetime import timedelta
from typing import Final

import urllib3

from modelops.adapters import rights
from modelops.api.accounts import ServiceAccount
from modelops.errors import Conflict, ModelopsError, Stalled, Transient

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_CONFLICT: Final = 409
_EXPIRED: Final = 410
_BUSY: Final = 429
_BROKEN: Final = 500


def refusal(
    response: urllib3.BaseHTTPResponse, data: bytes, what: str, account: ServiceAccount | None = None
) -> ModelopsError:
    """Return the error for an answer of 400 or more.

    Args:
        response: of the API server.
        data: its body, a Status of Kubernetes if all is well.
        what: was asked for.
        account: as which it was asked; None for the client itself.
    """
    status = response.status
    try:
        message = str(json.loads(data).get("message") or f"HTTP {status}")
    except (ValueError, AttributeError):
        message = f"HTTP {status}"
    if status == _CONFLICT:
        return Conflict("Conflict", f"{what}: {message}")
    if status == _BROKEN and message.startswith("failed to create typed patch object"):
        # The server's odd way to say that what was applied does not fit its schema: no retry will help.
        return Stalled("ApiRefused", f"{what}: {message}")
    if status == _BUSY or status >= _BROKEN:
        asked = response.headers.get("Retry-After", "")
        after = timedelta(seconds=int(asked)) if asked.isdigit() else None
        return Transient("ApiUnavailable", f"{what}: {message}", retry_after=after)
    if status == _EXPIRED:
        return Conflict("Expired", f"{what}: {message}")
    if status == _FORBIDDEN and account is not None:
        return rights.refused(account, what, message)
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return Transient("ApiForbidden", f"{what}: {message}")
    return Stalled("ApiRefused", f"{what}: {message}")
