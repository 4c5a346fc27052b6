"""Kubernetes service accounts, as identities that writes are made under."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account, by namespace and name."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """The name under which the API server knows it, in RBAC, in refusals and in its audit log."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that the API server gives it."""
        return "system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"

    def __str__(self) -> str:
        return f"ServiceAccount {self.namespace}/{self.name}"
