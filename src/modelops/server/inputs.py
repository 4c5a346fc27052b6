"""What a request's values look like to the model: how many are missing, and how many categories it never saw."""

from collections.abc import Collection
from dataclasses import dataclass

from modelops.server.predictor import Column
from modelops.server.protocol import Request


@dataclass(frozen=True, slots=True)
class InputFigures:
    """Of one request: a value is one cell, of a column that the model takes."""

    values: int
    missing: int
    """Null, left out, or an empty category."""
    categories: int
    """Of the values that are there, those of columns whose values are known."""
    unknown: int
    """Of the categories, those that the model was not trained on."""


def figures_of(columns: Collection[Column], request: Request) -> InputFigures:
    """Return the figures of a parsed request.

    Args:
        columns: that the model takes.
        request: of it.
    """
    missing = categories = unknown = 0
    for column in columns:
        given = request.columns.get(column.name)
        if given is None:
            missing += request.rows
            continue
        absent = given.count(None)
        if column.known is not None:
            absent += given.count("")
            there = len(given) - absent
            categories += there
            unknown += there - sum(map(column.known.__contains__, given))
        missing += absent
    return InputFigures(len(columns) * request.rows, missing, categories, unknown)
