"""What Grafana's dashboards are made of, as its JSON has it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

SCHEMA_VERSION: Final = 41
_WIDTH: Final = 24
_OF_THE_SCRAPE: Final = ("Time", "__name__", "job", "instance", "endpoint", "pod", "service", "container")
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a panel."""

    expr: str
    legend: str = "__auto"
    instant: bool = False
    """Only the value now, as a table wants it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; its place follows from those before it."""

    kind: str
    """Grafana's name of the panel type: timeseries, stat, state-timeline, table."""
    title: str
    queries: tuple[Query, ...]
    what: str = ""
    """Its description."""
    unit: str = "short"
    width: int = 12
    """Of 24."""
    height: int = 7
    options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Of its fields, beside the unit."""
    transformations: tuple[Json, ...] = ()


def panel(kind: str, title: str, *queries: Query | str, **more: Any) -> Panel:
    """Return a panel; a query that is a text has Grafana's own legend."""
    return Panel(kind, title, tuple(Query(one) if isinstance(one, str) else one for one in queries), **more)


def lines(title: str, *queries: Query | str, **more: Any) -> Panel:
    """Return a time series."""
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi"},
    }
    return panel("timeseries", title, *queries, options=options, **more)


def quantile(share: float, by: str, name: str, these: str) -> str:
    """Return the query for a quantile of a histogram's series, by a label."""
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({name}_bucket{{{these}}}[$__rate_interval])))"


def figure(title: str, query: Query | str, **more: Any) -> Panel:
    """Return one large number as it is now: over a range, what held before would be shown too."""
    now = replace(query, instant=True) if isinstance(query, Query) else Query(query, instant=True)
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value"}
    return panel("stat", title, now, options=options | more.pop("options", {}), width=4, height=4, **more)


def named(title: str, query: Query, **more: Any) -> Panel:
    """Return a figure that shows the legend of its query in place of the value."""
    return figure(title, query, options={"textMode": "name"}, **more)


def states(title: str, *queries: Query, colours: Mapping[str, str], **more: Any) -> Panel:
    """Return a timeline of what held when: a query gives 1 for it, its legend names it."""
    mapping = {
        "type": "value",
        "options": {"0": {"color": "transparent", "text": " "}, "1": {"color": "green", "text": " "}},
    }
    overrides = [
        {
            "matcher": {"id": "byRegexp", "options": f".*\\b{name}$"},
            "properties": [{"id": "mappings", "value": [_coloured(mapping, colour)]}],
        }
        for name, colour in colours.items()
    ]
    options = {"showValue": "never", "mergeValues": True, "rowHeight": 0.85, "legend": {"showLegend": False}}
    return panel(
        "state-timeline",
        title,
        *queries,
        options=options,
        defaults={"mappings": [mapping], "overrides": overrides},
        **more,
    )


def table(title: str, *queries: Query, hidden: Sequence[str] = (), **more: Any) -> Panel:
    """Return a table with one row an object: a column a query, named by its legend, and one a label.

    Args:
        title: of the panel.
        queries: their series must have the same labels, or a part of them.
        hidden: columns to leave out.
        more: see Panel.
    """
    # Grafana names the column of a query by its letter, unless there is but one.
    letters = ["Value"] if len(queries) == 1 else [f"Value #{chr(ord('A') + index)}" for index in range(len(queries))]
    columns = {letter: query.legend for letter, query in zip(letters, queries, strict=True)}
    left_out = [*_OF_THE_SCRAPE, *hidden, *(letter for letter, name in columns.items() if name in hidden)]
    organized = {"excludeByName": dict.fromkeys(left_out, True), "indexByName": {}, "renameByName": columns}
    transformations = ({"id": "merge", "options": {}}, {"id": "organize", "options": organized})
    now = tuple(replace(query, instant=True) for query in queries)
    return panel("table", title, *now, transformations=transformations, options={"showHeader": True}, **more)


def dashboard(uid: str, title: str, variables: Sequence[Json], panels: Sequence[Panel]) -> Json:
    """Return a whole dashboard.

    Args:
        uid: Grafana's name of it.
        title: for people.
        variables: beside the data source.
        panels: from left to right, row by row.
    """
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": ["modelops"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source | {"current": {}, "options": [], "hide": 0}, *variables]},
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "title": "modelops", "tags": ["modelops"], "asDropdown": False, "keepTime": True}
        ],
        "panels": _placed(panels),
    }


def variable(name: str, label: str, query: str, *, several: bool = False) -> Json:
    """Return a variable whose values are those of a label: `label_values(series, label)`."""
    every = {"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if several else {"current": {}}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name, "qryType": 1},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "hide": 0,
        **every,
    }


def _coloured(mapping: Json, colour: str) -> Json:
    options = mapping["options"]
    return mapping | {"options": options | {"1": {**options["1"], "color": colour}}}


def _placed(panels: Sequence[Panel]) -> list[Json]:
    placed, x, y, row = [], 0, 0, 0
    for number, one in enumerate(panels, start=1):
        if x + one.width > _WIDTH:
            x, y, row = 0, y + row, 0
        placed.append(_json(one, number, {"h": one.height, "w": one.width, "x": x, "y": y}))
        x, row = x + one.width, max(row, one.height)
    return placed


def _json(one: Panel, number: int, place: Json) -> Json:
    defaults = dict(one.defaults)
    overrides = defaults.pop("overrides", [])
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": query.instant,
            "range": not query.instant,
            "format": "table" if one.kind == "table" else "time_series",
        }
        for index, query in enumerate(one.queries)
    ]
    return {
        "id": number,
        "type": one.kind,
        "title": one.title,
        "description": one.what,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": one.unit, **defaults}, "overrides": overrides},
        "options": dict(one.options),
        "targets": targets,
        "transformations": list(one.transformations),
    }
