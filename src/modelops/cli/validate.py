"""`modelops validate PATH…`: every problem at once, as file:line: kind/name: field: reason; exit 1.

The same schemas and rules that the API server holds an object against, and what only the operator would find later.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import yaml
from pydantic import ValidationError

from modelops.api.kinds import KINDS, METRICTEMPLATE
from modelops.api.manifest import FieldPath, Manifest, Problem, read
from modelops.api.v1alpha1.common import API_VERSION
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.analysis.templates import unsound_template
from modelops.domain.analysis.verdicts import unsound_conditions
from modelops.domain.release.soundness import unsound
from modelops.domain.release.templates import with_templates
from modelops.errors import Stalled
from modelops.localhome.apiserver import rules, structural, validation
from modelops.localhome.apiserver.resources import ResourceType, from_definition
from modelops.localhome.parts import crd_directory

_PART: Final = re.compile(r"[^.\[\]]+|\[(\d+)\]")
_SUFFIXES: Final = (".yaml", ".yml", ".json")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(paths: tuple[Path, ...]) -> None:
    """Find every problem in manifests before git does; exits 1 if there is one."""
    manifests, problems = examine(paths)
    for problem in problems:
        click.echo(str(problem))
    if problems:
        click.echo(f"{len(problems)} problem{'s' * (len(problems) > 1)} in {len(manifests)} objects", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{len(manifests)} objects are valid")


def examine(paths: Sequence[Path]) -> tuple[list[Manifest], list[Problem]]:
    """Return the manifests of files and directories, and everything that is wrong with them, in order.

    Raises:
        Stalled: a path does not exist.
    """
    types = _types()
    found: list[Manifest] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str, str], str] = {}
    for path in _files(paths):
        manifests, broken = read(path.read_bytes(), str(path))
        problems += broken
        found += manifests
    templates = templates_in(found)
    for manifest in found:
        problems += _problems(manifest, types, seen, templates.get(namespace_of(manifest), {}))
    return found, sorted(problems, key=lambda one: (one.path, one.line))


def templates_in(manifests: Sequence[Manifest]) -> dict[str, dict[str, MetricTemplateSpec]]:
    """Return the MetricTemplates that can be read, by namespace (nothing if it is not said) and name."""
    found: dict[str, dict[str, MetricTemplateSpec]] = {}
    for manifest in manifests:
        # Flagger has a kind of this name, too.
        if (manifest.obj["apiVersion"], manifest.obj["kind"]) == (API_VERSION, METRICTEMPLATE.resource.kind):
            with contextlib.suppress(ValidationError):  # It is said of the template itself.
                spec = MetricTemplateSpec.model_validate(manifest.obj.get("spec") or {})
                found.setdefault(namespace_of(manifest), {})[str(manifest.obj["metadata"]["name"])] = spec
    return found


def namespace_of(manifest: Manifest) -> str:
    """Return the namespace that a manifest says, or nothing."""
    return str(manifest.obj["metadata"].get("namespace") or "")


def _types() -> dict[str, ResourceType]:
    found: dict[str, ResourceType] = {}
    for path in crd_directory().glob("*.yaml"):
        # libyaml's reader is ten times as fast, and this is half of what validate costs.
        definition = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        for resource in from_definition(definition):
            found[resource.kind] = resource
    return found


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
        elif path.is_file():
            yield path
        else:
            raise Stalled("NotFound", f"{path}: no such file or directory")


def _problems(
    manifest: Manifest,
    types: Mapping[str, ResourceType],
    seen: dict[tuple[str, str, str], str],
    templates: Mapping[str, MetricTemplateSpec],
) -> Iterator[Problem]:
    obj, meta = manifest.obj, manifest.obj["metadata"]
    identity = (f"{obj['apiVersion'].rpartition('/')[0]}/{obj['kind']}", namespace_of(manifest), str(meta["name"]))
    if identity in seen:
        yield manifest.problem(("metadata", "name"), f"is also in {seen[identity]}; give one of them another name")
    seen.setdefault(identity, f"{manifest.path}:{manifest.line}")
    if not obj["apiVersion"].startswith("modelops.dev/"):
        return
    resource = types.get(obj["kind"])
    if resource is None or obj["apiVersion"] != API_VERSION:
        known = ", ".join(kind.resource.kind for kind in KINDS)
        yield manifest.problem(("kind",), f"{obj['apiVersion']} {obj['kind']} is not known; {API_VERSION} has {known}")
        return
    yield from _against_schema(manifest, resource, templates)


def _against_schema(
    manifest: Manifest, resource: ResourceType, templates: Mapping[str, MetricTemplateSpec]
) -> Iterator[Problem]:
    obj = {key: value for key, value in manifest.obj.items() if key != "status"}
    schema = structural.whole(resource.schema)
    unknown: list[str] = []
    pruned = structural.prune(obj, schema, "", unknown)
    for name in unknown:
        yield manifest.problem(_path(name), "unknown field")
    filled = structural.with_defaults(pruned, schema)
    errors = validation.validate(filled, schema)
    if not any(error.reason in validation.BLOCKING for error in errors):
        errors += rules.check(filled, schema)
    for error in errors:
        yield manifest.problem(_path(error.field), error.message)
    if not errors and not unknown:
        yield from _against_types(manifest, filled, templates)


def _against_types(
    manifest: Manifest, obj: Mapping[str, Any], templates: Mapping[str, MetricTemplateSpec]
) -> Iterator[Problem]:
    """What the schema cannot say: bounds of durations, conditions that do not compile."""
    kind = next(kind for kind in KINDS if kind.resource.kind == obj["kind"])
    try:
        spec = kind.spec.model_validate(obj.get("spec") or {})
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            yield manifest.problem(("spec", *one["loc"]), one["msg"])
        return
    if isinstance(spec, MetricTemplateSpec):
        for path, words in unsound_template(spec):
            yield manifest.problem(path, words)
    if isinstance(spec, ModelReleaseSpec):
        whole, unfit = with_templates(spec, templates, None)
        for path, words in (*unfit, *unsound(whole)):
            yield manifest.problem(path, words)
        for index, metric in enumerate(spec.analysis.metrics):
            for field, words in unsound_conditions(metric):
                yield manifest.problem(("spec", "analysis", "metrics", index, field), words)


def _path(text: str) -> FieldPath:
    return tuple(int(match[1]) if match[1] else match[0] for match in _PART.finditer(text))
