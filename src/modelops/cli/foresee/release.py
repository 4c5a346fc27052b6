"""What a change of a ModelRelease, or of the TrainingRun behind it, leads to. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from modelops.api.manifest import dotted
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.cli.compare import Field
from modelops.cli.control import control_lines
from modelops.cli.foresee.training import reused, trains
from modelops.cli.foresee.world import Obj, World, what
from modelops.cli.progress import step_words
from modelops.domain.release.address import wanted
from modelops.domain.release.objects import Gateway
from modelops.domain.release.revision import ServingDefaults, revision_of
from modelops.domain.release.steps import written_steps
from modelops.domain.release.templates import named_templates, with_templates

_NAMES: Final = {
    "canary": "canary",
    "linear": "linear",
    "blue_green": "blue-green",
    "direct": "direct",
    "ab_test": "A/B test",
    "shadow": "shadow",
}
_ANY_GATEWAY: Final = Gateway("", "")
"""The operator's is not known here; it is the same for all."""
_CONTROL: Final = ("spec.windows", "spec.freeze", "spec.onNewVersion", "spec.rollbackWindow")


def release(before: Obj | None, after: Obj, fields: Sequence[Field], world: World) -> Iterator[str]:
    """Yield what a ModelRelease does."""
    spec = ModelReleaseSpec.model_validate(after["spec"])
    if problem := _rival(after, spec, world) or _taken(after, spec, world):
        yield problem
        return
    if problem := _unfit(after, spec, world):
        yield problem
        return
    run = _run_of(after, spec, world)
    if spec.model.from_ is not None:
        name = spec.model.from_.training_run
        if run is None:
            yield f"waits: there is no TrainingRun {name}, neither here nor in the plan"
            return
        trained = run["spec"]["model"]["name"]
        if trained != spec.model.name:
            yield f"Stalled: ModelMismatch: TrainingRun {name} registers model {trained}, not {spec.model.name}"
            return
    status = ModelReleaseStatus.model_validate((before or {}).get("status") or {})
    if before is None:
        wanted = _wanted(spec, run)
        first = f"version {wanted}" if wanted else "the first version that is registered"
        tested = " and have passed the smoke test" if spec.smoke_test is not None else ""
        yield f"{first} takes all of the traffic once its servers are ready{tested}: nothing to compare it with"
        yield f"if alias {spec.model.promoted_alias} names another version, that one serves first: {steps_words(spec)}"
        yield from control_lines(spec)
        return
    yield from _changed_release(before, spec, fields, status, run)
    if any(field.path.startswith(_CONTROL) for field in fields):
        yield from control_lines(spec)
    if run is not None and _will_train(run, world):
        yield from _from_run(run, spec, status, world)


def _from_run(run: Obj, spec: ModelReleaseSpec, status: ModelReleaseStatus, world: World) -> Iterator[str]:
    """Yield what happens to the version that a changed run gives."""
    name = run["metadata"]["name"]
    how = steps_words(spec) if status.stable is not None else "all of the traffic once its servers are ready"
    version = reused(world.before.get(("TrainingRun", run["metadata"]["namespace"], name)), run, world)
    if version is None:
        yield f"the version that TrainingRun {name} registers is released: {how}"
        return
    if status.stable is not None and status.stable.version == version:
        yield f"version {version}, which serves, is wanted: nothing is released"
        return
    given_up = {record.version for record in status.history if record.revision in status.aborted}
    if version in given_up:
        yield f"version {version} is wanted, and was given up before: nothing until modelops release retry"
    else:
        yield f"version {version} is released: {how}"


def _changed_release(
    before: Obj, spec: ModelReleaseSpec, fields: Sequence[Field], status: ModelReleaseStatus, run: Obj | None
) -> Iterator[str]:
    if not fields:
        return
    old = ModelReleaseSpec.model_validate(before["spec"])
    # The operator's image is not known here; it is the same on both sides, so any stands in.
    defaults = ServingDefaults("", "")
    was, wanted = _wanted(old, run), _wanted(spec, run)
    template = revision_of(old, "", defaults) != revision_of(spec, "", defaults)
    chosen = old.model != spec.model and (was != wanted or old.model.name != spec.model.name or wanted is None)
    if not template and not chosen:
        yield f"no new revision: only {what(fields)} changed"
        if status.canary is not None:
            yield f"version {status.canary.version}, which is on its way, goes on under what is new"
        return
    why = [field.words() for field in fields if field.path.startswith(("spec.serving", "spec.model"))]
    version = f" of version {wanted}" if wanted else ""
    if status.stable is None:
        yield f"a new revision{version}: takes all of the traffic once its servers are ready ({'; '.join(why)})"
    else:
        yield f"a new revision{version} → {steps_words(spec)} ({'; '.join(why)})"
    if status.canary is not None:
        fate = {"Queue": "comes to its end first", "Ignore": "goes on, and this one is left out"}
        yield f"version {status.canary.version}, which is on its way, {fate.get(spec.on_new_version, 'is superseded')}"


def steps_words(spec: ModelReleaseSpec) -> str:
    """Return the way of a new revision in words: `canary 10 % → analyze 5m → 100 %`."""
    steps = written_steps(spec.strategy)
    words = [step_words(step) for step in steps]
    if spec.smoke_test is not None and step_words({"smokeTest": {}}) not in words:
        words.insert(0, step_words({"smokeTest": {}}))
    if not any(step.get("setWeight") == 100 for step in steps):
        words.append("100 %")
    chosen = (words for name, words in _NAMES.items() if getattr(spec.strategy, name) is not None)
    return f"{next(chosen, 'canary')} {' → '.join(words)}"


def _will_train(run: Obj, world: World) -> bool:
    key = ("TrainingRun", run["metadata"]["namespace"], run["metadata"]["name"])
    return trains(world.before.get(key), run, world)


def _run_of(release: Obj, spec: ModelReleaseSpec, world: World) -> Obj | None:
    if spec.model.from_ is None:
        return None
    return world.after.get(("TrainingRun", release["metadata"]["namespace"], spec.model.from_.training_run))


def _wanted(spec: ModelReleaseSpec, run: Obj | None) -> str | None:
    """Return the version that a spec asks for, as far as the objects tell."""
    if spec.model.version is not None:
        return spec.model.version
    if spec.model.from_ is not None and run is not None:
        return (run.get("status") or {}).get("modelVersion")
    return None


def _unfit(release: Obj, spec: ModelReleaseSpec, world: World) -> str:
    """Return what keeps its metrics from being asked by the MetricTemplates that they name, or nothing."""
    namespace = release["metadata"]["namespace"]
    templates = {
        name: MetricTemplateSpec.model_validate(found["spec"])
        for name in named_templates(spec)
        if (found := world.after.get(("MetricTemplate", namespace, name))) is not None
    }
    _, problems = with_templates(spec, templates, f"in namespace {namespace}")
    return next((f"Stalled: InvalidSpec: {dotted(path)}: {words}" for path, words in problems), "")


def _taken(release: Obj, spec: ModelReleaseSpec, world: World) -> str:
    """Return which older release has its requests; routes of anybody else's are not known here."""
    mine = wanted(release["metadata"]["name"], spec, _ANY_GATEWAY)
    for other in _older(release, world):
        meta = other["metadata"]
        both = mine & wanted(meta["name"], ModelReleaseSpec.model_validate(other["spec"]), _ANY_GATEWAY)
        if both:
            return (
                f"Stalled: RouteTaken: ModelRelease {meta['namespace']}/{meta['name']} is older and takes "
                f"{min(map(str, both))}; set spec.traffic.hostnames to what is this release's alone"
            )
    return ""


def _rival(release: Obj, spec: ModelReleaseSpec, world: World) -> str:
    for other in _older(release, world):
        model, meta = other["spec"].get("model") or {}, other["metadata"]
        same = (model.get("name"), model.get("promotedAlias", "champion"))
        if same == (spec.model.name, spec.model.promoted_alias):
            return (
                f"Stalled: AliasConflict: ModelRelease {meta['namespace']}/{meta['name']} is older and moves alias "
                f"{spec.model.promoted_alias} of model {spec.model.name}; give this one another promotedAlias"
            )
    return ""


def _older(release: Obj, world: World) -> Iterator[Obj]:
    """Yield the other releases that are older; what is not there yet is younger than what is."""

    def age(obj: Obj) -> tuple[str, str, str]:
        meta = obj["metadata"]
        return meta.get("creationTimestamp") or "9999", meta["namespace"], meta["name"]

    for (kind, _, _), other in world.after.items():
        if kind == "ModelRelease" and age(other) < age(release):
            yield other
