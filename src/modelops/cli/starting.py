"""What `local up` shows on a terminal while the parts start: a spinner with those that are still missing.

Lines stay above it as they come; when everything is ready it goes. Piped, there are the lines only. It draws when it is
told something and has no thread of its own, for the process that supervises forks.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import click

from modelops.cli import show

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner

_READY: Final = "ready after "


class Starting:
    """Says lines, and draws what is awaited until the line that says that everything is ready."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._spinner: Spinner | None = None

    def __enter__(self) -> Self:
        if show.fancy():
            from rich.live import Live  # noqa: PLC0415 - on a terminal only
            from rich.spinner import Spinner  # noqa: PLC0415

            self._spinner = Spinner("dots", "starting")
            self._live = Live(self._spinner, auto_refresh=False, transient=True)
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def say(self, line: str) -> None:
        """Print a line."""
        ready = line.startswith(_READY)
        if ready:
            self._end()
        if self._live is None:
            click.echo(show.styled(line, "ok" if ready else ""))
        else:
            self._live.console.print(line, markup=False, highlight=False)

    def awaiting(self, parts: dict[str, Any]) -> None:
        """Draw which parts are awaited.

        Args:
            parts: by name, as `local status -o json` has them.
        """
        if self._live is None or self._spinner is None:
            return
        awaited = [name for name, part in parts.items() if not part["ready"]]
        self._spinner.update(text=f"waiting for {', '.join(awaited)}" if awaited else "waiting for the first objects")
        self._live.refresh()

    def _end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
