"""`make demo`: python -m examples.demo [--example digits] [--keep]."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.demo.program import Program, StoryError
from examples.demo.story import Story


def _summary(story: Story, console: Console, seconds: float) -> None:
    table = Table(title="What happened", show_lines=True)
    for column in ("commit", "what", "outcome", "why", "how long"):
        table.add_column(column, overflow="fold")
    for chapter in story.chapters:
        phases = "\n".join(f"{name}: {took:.1f} s" for name, took in chapter.phases.items())
        table.add_row(chapter.commit[:8], chapter.what, chapter.outcome, chapter.why, phases)
    console.print(table)
    for what, count in story.answers.items():
        console.print(f"  customers: {count} {what}")
    console.print(f"  altogether: {seconds:.0f} s")


def _where_to_look(story: Story, console: Console, *, kept: bool) -> None:
    console.print(
        "\nWhere to look:" if kept else "\nWhere to look, while it runs (make demo KEEP=1 leaves it running):"
    )
    if kept:
        console.print(f"  export MODELOPS_STATE_DIR={story.program.state_dir}")
    endpoints = story.program.endpoints()
    console.print(f"  modelops describe modelrelease {story.name}")
    console.print(f"  modelops lineage {story.name}")
    console.print(f"  git -C {story.repo} log --oneline")
    for name in ("mlflow", "prometheus", "gateway"):
        console.print(f"  {name}: {endpoints.get(name, '')}")


def main() -> int:
    """Tell the story; exit 0 only if every chapter ended as it should."""
    parser = argparse.ArgumentParser(description="A commit promoted, a better one, and a bad one rolled back.")
    parser.add_argument("--example", default="digits", choices=["digits", "real-estate"])
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    home = Path(tempfile.mkdtemp(prefix="modelops-demo-"))
    program = Program(home / "state")
    begun = time.monotonic()
    story = Story(
        options.example,
        home / options.example,
        program,
        lambda line: console.print(f"[{time.monotonic() - begun:6.1f} s] {line}", markup=False),
    )
    failed = False
    try:
        story.tell()
    except StoryError as error:
        failed = True
        console.print(f"demo: {error}", markup=False, style="red")
    except KeyboardInterrupt:
        failed = True
    if story.chapters:
        _summary(story, console, time.monotonic() - begun)
    if options.keep:
        if not failed:
            _where_to_look(story, console, kept=True)
        console.print(f"\nStill running; stop it with: modelops local down --state-dir {program.state_dir}")
        return int(failed)
    if not failed:
        _where_to_look(story, console, kept=False)
        console.print()
        program.show("lineage", story.name)
    program.run("local", "down", timeout=60)
    if failed:
        console.print(f"The state directory with all logs is kept: {program.state_dir}")
    else:
        shutil.rmtree(home, ignore_errors=True)
        console.print("\nNothing is left running. To look around afterwards: make demo KEEP=1")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
