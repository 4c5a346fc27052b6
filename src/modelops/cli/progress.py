"""How a release is shown while somebody waits: drawn in place on a terminal, a line for each change when piped."""

from typing import TYPE_CHECKING, Any, Self

import click

from modelops.cli import show

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_BAR = 30


class Progress:
    """Tells of one release, again and again; a context manager, since a terminal has to be left as it was.

    Args:
        quiet: print nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._said = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, found: dict[str, Any], line: str, *, settled: bool) -> None:
        """Show the release as it is now.

        Args:
            found: the object.
            line: how it stands, in one line.
            settled: this is the last word.
        """
        if self._quiet:
            return
        if show.fancy() and not settled:
            self._draw(found, line)
            return
        self.__exit__()
        if line != self._said:
            click.echo(show.styled(line, _word(line)))
            self._said = line

    def _draw(self, found: dict[str, Any], line: str) -> None:
        from rich.live import Live  # noqa: PLC0415 - on a terminal only

        if self._live is None:
            self._live = Live(auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(_picture(found, line), refresh=True)


def _word(line: str) -> str:
    """Return the word of the line that has a colour."""
    return next((word for part in line.split() if show.colour_of(word := part.strip(":,"))), "")


def _picture(found: dict[str, Any], line: str) -> "Group":
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    status = found.get("status") or {}
    parts = [Text(line)]
    if status.get("canary"):
        parts.append(_steps(_steps_of(found["spec"]["strategy"]), int(status.get("step", 0))))
        parts.append(_bar(int(status.get("weight", 0))))
    for metric in status.get("analysis") or ():
        looks = metric.get("measurements") or ()
        if looks:
            last = looks[-1]
            value = "no value" if last.get("value") is None else f"{last['value']:.6g}"
            text = f"  {metric['name']}: {last['verdict']} {value} against {metric.get('bound', '')}"
            parts.append(Text(text, style=show.RED if last["verdict"] == "Fail" else ""))
    return Group(*parts)


def _steps_of(strategy: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps that a strategy comes to, as they are written."""
    from modelops.api.v1alpha1.modelrelease import Strategy  # noqa: PLC0415 - on a terminal only
    from modelops.domain.release.steps import written_steps  # noqa: PLC0415

    return written_steps(Strategy.model_validate(strategy))


def _steps(steps: list[dict[str, Any]], at: int) -> "Any":
    from rich.text import Text  # noqa: PLC0415

    text = Text("  ")
    for index, step in enumerate(steps):
        mark, style = ("✓", show.GREEN) if index < at else ("●", show.YELLOW) if index == at else ("○", show.DIM)
        text.append(f"{mark} {step_words(step)}  ", style=style)
    return text


def _bar(weight: int) -> "Any":
    from rich.text import Text  # noqa: PLC0415

    full = round(_BAR * weight / 100)
    return Text("  ").append("█" * full, style=show.YELLOW).append("░" * (_BAR - full)).append(f" {weight} %")


def step_words(step: dict[str, Any]) -> str:
    """Return a step of a canary as people say it: `10 %`, `analyze 5m`, `approve`."""
    if "setWeight" in step and step["setWeight"] is not None:
        return f"{step['setWeight']} %"
    if step.get("analyze"):
        return f"analyze {step['analyze']['duration']}"
    if step.get("pause") is not None:
        duration = step["pause"].get("duration")
        return f"pause {duration}" if duration else "pause for a human"
    if step.get("bake"):
        return f"bake {step['bake']['duration']}"
    if step.get("setCanaryScale"):
        scale = step["setCanaryScale"]
        return f"scale to {scale['replicas']}" if "replicas" in scale else f"scale to {_percent(scale)}"
    if step.get("setHeaderRoute"):
        route = step["setHeaderRoute"]
        return f"header route {route['name']}" if route.get("match") else f"no header route {route['name']}"
    if step.get("smokeTest") is not None:
        return "smoke test"
    if step.get("setMirror"):
        return f"mirror {step['setMirror']['percent']} %"
    return next(iter(step), "step")


def _percent(scale: dict[str, Any]) -> str:
    return f"{scale['percent']} % of the servers" if "percent" in scale else "the weight"
