"""Who gives an approval, as the API server says; a server that does not tell costs nothing but the name."""

from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.cli.whoami import user_of
from modelops.errors import ModelopsError, Stalled, Transient


class _Api:
    """Answers one question, or refuses to."""

    def __init__(self, answer: dict[str, Any] | ModelopsError | None) -> None:
        self._answer = answer
        self.asked: list[tuple[str, str, str]] = []

    def request(self, method: str, path: str, *, body: dict[str, Any], what: str) -> dict[str, Any] | None:
        """Take note and answer."""
        self.asked.append((method, path, body["kind"]))
        if isinstance(self._answer, ModelopsError):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ({"status": {"userInfo": {"username": "ann@example.com", "groups": ["g"]}}}, "ann@example.com"),
        ({"status": {"userInfo": {"username": "x" * 500}}}, "x" * 500),
        ({"status": {}}, ""),
        ({}, ""),
        (None, ""),
        (Stalled("Refused", "no"), ""),
        (Transient("ApiUnreachable", "no answer"), ""),
    ],
)
def test_user_is_who_the_api_server_says(answer: dict[str, Any] | ModelopsError | None, name: str) -> None:
    """Never an error: the approval counts without a name, too."""
    api = _Api(answer)
    assert user_of(api) == name  # type: ignore[arg-type]
    assert api.asked == [("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "SelfSubjectReview")]


def test_local_home_has_no_names(client: KubeClient) -> None:
    """There everybody has the one token."""
    assert user_of(client) == ""
