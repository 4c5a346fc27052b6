# ruff: noqa: E501 - wire data and sentences of the list stand in one line
"""The written list of what the API does is the list of these tests. `python -m tests.contract.test_listing` writes it."""

import ast
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reference" / "local-api.md"
BEGIN, END = "<!-- the contract suite, begin -->\n", "<!-- the contract suite, end -->"


def listing() -> str:
    """Return a section for each file of the suite, a line for each test."""
    sections = []
    for path in sorted(HERE.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        module = ast.parse(path.read_text())
        title = (ast.get_docstring(module) or "").splitlines()[0].removeprefix("Contract: ").rstrip(".")
        lines = [f"### {title[0].upper()}{title[1:]}", ""]
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                told = ast.get_docstring(node)
                assert told, f"{path.name}: {node.name} has no sentence"
                lines.append(f"- {' '.join(told.split())}")
        sections.append("\n".join(lines))
    return "\n\n".join(sections) + "\n"


def test_page_lists_the_suite() -> None:
    """docs/reference/local-api.md lists every test of the suite, word for word."""
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == listing(), (
        "run python -m tests.contract.test_listing"
    )


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + listing() + page[page.index(END) :])
