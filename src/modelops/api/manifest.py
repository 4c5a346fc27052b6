"""Manifests as kubectl reads them, with the line of every field. For `validate` and for GitSource.

A manifest is hostile input: size, documents, depth and the number of nodes are bounded, aliases included. Numbers are
those of YAML 1.2 where people expect it (`1e-4`), times of day are strings (`16:00`), dates are strings, and a key
given twice is an error.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from typing_extensions import override

MAX_BYTES: Final = 1024 * 1024
"""Of one file."""
_MAX_DOCUMENTS: Final = 500
_MAX_DEPTH: Final = 64
_MAX_NODES: Final = 50_000

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, what to do."""

    path: str
    """Of the file."""
    line: int
    """1 for the first; 0 where no line can be named."""
    about: str
    """`Kind/name`, as far as it is known."""
    field: str
    """Dotted, such as spec.steps[2].setWeight; empty for the whole document."""
    reason: str

    @override
    def __str__(self) -> str:
        parts = [f"{self.path}:{self.line}", self.about, self.field, self.reason]
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object in one file."""

    path: str
    line: int
    obj: Mapping[str, Any]
    lines: Mapping[FieldPath, int] = field(default_factory=dict, repr=False)

    @property
    def about(self) -> str:
        """`Kind/name`."""
        return f"{self.obj.get('kind', '?')}/{(self.obj.get('metadata') or {}).get('name', '?')}"

    def problem(self, where: FieldPath, reason: str) -> Problem:
        """Return a problem at a field, on the line of the field or of the nearest one around it."""
        nearest = where
        while nearest and nearest not in self.lines:
            nearest = nearest[:-1]
        return Problem(self.path, self.lines.get(nearest, self.line), self.about, dotted(where), reason)


def dotted(where: FieldPath) -> str:
    """Return a field path as people write it."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def read(content: bytes, path: str) -> tuple[list[Manifest], list[Problem]]:
    """Return the objects of a file, and what is wrong with it.

    One bad document does not hide the others of its file, unless the YAML itself is broken there.
    """
    if len(content) > MAX_BYTES:
        return [], [Problem(path, 0, "", "", f"the file has {len(content)} bytes, at most {MAX_BYTES} are read")]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [], [Problem(path, line, "", "", f"not UTF-8: byte {error.start}")]
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    try:
        for index, node in enumerate(yaml.compose_all(text, Loader=_Loader)):
            if index >= _MAX_DOCUMENTS:
                problems.append(Problem(path, 0, "", "", f"more than {_MAX_DOCUMENTS} documents"))
                break
            _take(node, path, manifests, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        problems.append(Problem(path, line, "", "", f"broken YAML: {error.problem or error.context}"))
    except (yaml.YAMLError, RecursionError) as error:
        problems.append(Problem(path, 0, "", "", f"broken YAML: {' '.join(str(error).split())[:200]}"))
    return manifests, problems


def _take(node: yaml.Node | None, path: str, manifests: list[Manifest], problems: list[Problem]) -> None:
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == _NULL):
        return
    reader = _Reader(path)
    line = node.start_mark.line + 1
    obj = reader.value(node, ())
    if reader.problems:
        problems.extend(reader.problems)
        return
    if not isinstance(obj, dict):
        problems.append(Problem(path, line, "", "", "a document must be an object with apiVersion, kind and metadata"))
        return
    if obj.get("kind") == "List" and isinstance(obj.get("items"), list):
        for index, item in enumerate(obj["items"]):
            inside = {where[2:]: at for where, at in reader.lines.items() if where[:2] == ("items", index)}
            _accept(
                Manifest(path, inside.get((), line), item if isinstance(item, dict) else {}, inside),
                manifests,
                problems,
            )
        return
    _accept(Manifest(path, line, obj, reader.lines), manifests, problems)


def _accept(manifest: Manifest, manifests: list[Manifest], problems: list[Problem]) -> None:
    missing = list(_missing(manifest.obj))
    problems.extend(manifest.problem(where, reason) for where, reason in missing)
    if not missing:
        manifests.append(manifest)


def _missing(obj: Mapping[str, Any]) -> Iterator[tuple[FieldPath, str]]:
    for name in ("apiVersion", "kind"):
        if not isinstance(obj.get(name), str) or not obj[name]:
            yield (name,), f"{name} is missing"
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        yield ("metadata",), "metadata is missing"
    elif not isinstance(metadata.get("name"), str) or not metadata["name"]:
        yield ("metadata", "name"), "metadata.name is missing"
    elif not _DNS.match(metadata["name"]):
        yield ("metadata", "name"), f"{metadata['name']!r} is not a name: use lower-case letters, digits, - and ."


class _Reader:
    """Turns one composed document into plain values and remembers the line of every field."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._nodes = 0
        self.lines: dict[FieldPath, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, where: FieldPath) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(where) > _MAX_DEPTH:
            if not self.problems:
                self._wrong(node, where, "too many or too deeply nested values; are aliases expanded many times?")
            return None
        self.lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*where, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: FieldPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(key_node, where, "a key must be plain text")
                continue
            key = str(key_node.value)
            if key == "<<" and key_node.tag.endswith(":merge"):
                self._wrong(key_node, where, "merge keys (<<) are not read; write the fields out")
                continue
            if key in result:
                self._wrong(key_node, (*where, key), "the key is given twice; remove one")
            self.lines[*where, key] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, (*where, key))
        return result

    def _scalar(self, node: yaml.Node, where: FieldPath) -> Any:
        construct = _SCALARS.get(node.tag)
        if construct is None:
            self._wrong(node, where, f"the tag {node.tag!r} is not read")
            return None
        try:
            return construct(str(node.value))
        except ValueError:
            self._wrong(node, where, f"{node.value!r} is not a value of {node.tag}")
            return None

    def _wrong(self, node: yaml.Node, where: FieldPath, reason: str) -> None:
        self.problems.append(Problem(self._path, node.start_mark.line + 1, "", dotted(where), reason))


class _Loader(yaml.CSafeLoader):
    """libyaml's parser with kubectl's idea of what a plain scalar is."""

    yaml_implicit_resolvers: dict[Any, Any] = {}


_TAG: Final = "tag:yaml.org,2002:"
_NULL: Final = f"{_TAG}null"
_DNS: Final = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
_TRUE: Final = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
_RESOLVERS: Final = (
    ("bool", r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$", "yYnNtTfFoO"),
    ("int", r"^[-+]?(?:0b[0-1]+|0o[0-7]+|0[0-7]+|0|[1-9][0-9]*|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.(?:[iI]nf|INF))|\.(?:nan|NaN))$",
        "-+0123456789.",
    ),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("merge", r"^(?:<<)$", "<"),
)  # fmt: skip
for _name, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(_pattern), ["" if c == "\0" else c for c in _first])


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _float(text: str) -> float:
    number = float(
        text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan")
    )
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN differs from itself
        raise ValueError(text)
    return number


_SCALARS: Final[Mapping[str, Any]] = {
    f"{_TAG}str": str,
    f"{_TAG}null": lambda _: None,
    f"{_TAG}bool": lambda text: text in _TRUE,
    f"{_TAG}int": _integer,
    f"{_TAG}float": _float,
}
