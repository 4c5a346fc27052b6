"""Who asks, as the API server knows them: by a SelfSubjectReview, which everybody may make."""

from typing import Final

from modelops.adapters.cluster import KubeClient
from modelops.errors import ModelopsError

_REVIEW: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def user_of(client: KubeClient) -> str:
    """Return the user's name; nothing where the API server does not tell."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = client.request("POST", _REVIEW, body=body, what="the user")
    except ModelopsError:
        return ""
    user = ((answer or {}).get("status") or {}).get("userInfo") or {}
    return str(user.get("username", ""))
