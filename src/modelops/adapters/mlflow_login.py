"""How a client logs in to MLflow: a name with a password, or a bearer token."""

import base64
from dataclasses import dataclass

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to the tracking server; empty for one without a login. Never shown."""

    username: str = ""
    password: str = ""
    token: str = ""

    @override
    def __repr__(self) -> str:
        return "Login(…)"

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers to send."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}
