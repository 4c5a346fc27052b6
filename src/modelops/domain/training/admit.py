"""Whether a run may use its pool, and what it gets there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.computepool import ComputePoolSpec
from modelops.api.v1alpha1.trainer import Trainer
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
        return Admission(admitted=True, reason="Admitted", message="no pool asked for", **granted)
    pool, note = pools.get(compute.pool), f"pool {compute.pool}"
    if pool is None and fallback is not None and fallback in pools:
        ignored = f", {compute.gpus} GPUs ignored" if compute.gpus else ""
        message = f"{note} is unknown here; runs on {fallback}{ignored}"
        granted["gpus"] = 0
        return Admission(admitted=True, reason="PoolFallback", message=message, pool=pools[fallback], **granted)
    if pool is None:
        known = ", ".join(sorted(pools)) or "none"
        return _refused("PoolNotFound", f"there is no ComputePool {compute.pool!r}; there is: {known}")
    if pool.suspend:
        return _refused("PoolSuspended", f"{note} is suspended by its owners")
    if pool.namespaces and namespace not in pool.namespaces:
        return _refused("PoolForbidden", f"{note} does not allow namespace {namespace}; ask its owners")
    ceilings = pool.max_per_run
    exceeded = (
        _over("gpus", compute.gpus, ceilings.gpus)
        or _over("retries", compute.retries, ceilings.retries)
        or _over_time(compute.timeout, ceilings.timeout)
    )
    if exceeded:
        return _refused("CeilingExceeded", f"{exceeded} of {note}")
    return Admission(admitted=True, reason="Admitted", message=note, pool=pool, **granted)


def noted(admission: Admission, trainer: Trainer) -> Admission:
    """Return an admission that also tells what is unsafe about a trainer, though it is admitted."""
    if trainer.image is None or trainer.image_digest:
        return admission
    note = f"image {trainer.image} is named by a tag, which may come to mean another; name it by digest (…@sha256:…)"
    return replace(admission, message=f"{admission.message}; {note}")


def _refused(reason: str, message: str) -> Admission:
    return Admission(admitted=False, reason=reason, message=message)


def _over(field: str, asked: int, ceiling: int | None) -> str:
    over = ceiling is not None and asked > ceiling
    return f"spec.compute.{field} is {asked}, more than the {ceiling}" if over else ""


def _over_time(asked: timedelta, ceiling: timedelta | None) -> str:
    if ceiling is None or asked <= ceiling:
        return ""
    return f"spec.compute.timeout is {format_duration(asked)}, more than the {format_duration(ceiling)}"
