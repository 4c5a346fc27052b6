"""Whether a run may use its pool, and what it gets there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.computepool import ComputePoolSpec
from modelops.api.v1alpha1.trainingrun import Compute


@dataclass(frozen=True, slots=True)
class Admission:
    """The pool's answer."""

    admitted: bool
    reason: str
    message: str
    pool: ComputePoolSpec | None = None
    gpus: int = 0
    timeout: timedelta = timedelta(hours=2)
    retries: int = 0


def admit(compute: Compute, pools: Mapping[str, ComputePoolSpec], namespace: str, *, fallback: str | None) -> Admission:
    """Hold what a run asks for against its pool.

    Args:
        compute: what the run asks for.
        pools: the pools that exist, by name.
        namespace: of the run.
        fallback: a pool that stands in for unknown ones; GPUs asked for are then left out and named.
    """
    granted: dict[str, Any] = {"gpus": compute.gpus, "timeout": compute.timeout, "retries": compute.retries}
    if compute.pool is None:
        return Admission(admitted=True, reason="Admitted", "no pool asked for", **granted)
    pool, note = pools.get(compute.pool), f"pool {compute.pool}"
    if pool is None and fallback is not None and fallback in pools:
        ignored = f", {compute.gpus} GPUs ignored" if compute.gpus else ""
        return Admission(
            True,
            "PoolFallback",
            f"pool {compute.pool} is unknown here; runs on {fallback}{ignored}",
            pool=pools[fallback],
            **(granted | {"gpus": 0}),
        )
    if pool is None:
        known = ", ".join(sorted(pools)) or "none"
        return Admission(admitted=False, reason="PoolNotFound", f"there is no ComputePool {compute.pool!r}; there is: {known}")
    if pool.suspend:
        return Admission(admitted=False, reason="PoolSuspended", f"{note} is suspended by its owners")
    if pool.namespaces and namespace not in pool.namespaces:
        return Admission(admitted=False, reason="PoolForbidden", f"{note} does not allow namespace {namespace}; ask its owners")
    ceilings = pool.max_per_run
    for name, asked, ceiling, shown in (
        ("gpus", compute.gpus, ceilings.gpus, str),
        ("timeout", compute.timeout, ceilings.timeout, format_duration),
        ("retries", compute.retries, ceilings.retries, str),
    ):
        if ceiling is not None and asked > ceiling:  # type: ignore[operator]
            message = f"spec.compute.{name} is {shown(asked)}, {note} allows {shown(ceiling)}"  # type: ignore[operator]
            return Admission(admitted=False, reason="CeilingExceeded", message)
    return Admission(admitted=True, reason="Admitted", note, pool=pool, **granted)
