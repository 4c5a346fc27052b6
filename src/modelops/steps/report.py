"""Renders a report as one HTML file that needs nothing else: no script, no network, plots inline.

Called by prepare and evaluate. Column names and values come from users: everything is escaped, and the page's own
policy forbids scripts and requests.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import jinja2


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG with a title."""

    title: str
    png: bytes = field(repr=False)

    @property
    def base64(self) -> str:
        """The bytes as text."""
        return base64.b64encode(self.png).decode()


def render_report(
    title: str, facts: Sequence[tuple[str, object]], tables: Sequence[Table], images: Sequence[Image]
) -> bytes:
    """Return the report, UTF-8."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    source = resources.files("modelops.steps").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(title=title, facts=facts, tables=tables, images=images)
    return page.encode("utf-8", "replace")
