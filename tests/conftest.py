"""For all tests: in CI a skip that nobody announced is a failure, and so are many tests that failed once."""

import os
import signal
from pathlib import Path

import pytest

_ANNOUNCED = Path(__file__).parent / "announced_skips.txt"
_ONCE = 3
"""How many tests may fail once and pass when they are run again, as a machine that is slow for a moment makes them."""


def pytest_configure() -> None:
    """Let Ctrl-C be heard: what a shell starts in the background inherits that it is not, and passes it on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which skips were not announced, and what failed once; `pytest_sessionfinish` judges both."""
    for node in getattr(config, "unannounced", ()):
        terminalreporter.write_line(f"skipped without being announced in {_ANNOUNCED.name}: {node}", red=True)
    failed_once = _failed_once(terminalreporter)
    for node, why in sorted(failed_once.items()):
        terminalreporter.write_line(f"failed once: {node}: {why}", yellow=True)
    if len(failed_once) > _ONCE:
        terminalreporter.write_line(f"{len(failed_once)} tests failed once; CI lets {_ONCE}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI session with a skip that is not on the list, or in which too much failed once."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    lines = _ANNOUNCED.read_text(encoding="utf-8").splitlines()
    announced = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    skipped = {report.nodeid for report in reporter.stats.get("skipped", ())}
    unannounced = sorted(node for node in skipped if not node.startswith(announced or ("\0",)))
    session.config.unannounced = unannounced  # type: ignore[attr-defined]
    if (unannounced or len(_failed_once(reporter)) > _ONCE) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _failed_once(reporter: pytest.TerminalReporter) -> dict[str, str]:
    """Return what failed once, and the first line of why."""
    found = reporter.stats.get("rerun", ())
    return {one.nodeid: (one.longreprtext.partition("\nE  ")[2].splitlines() or [""])[0].strip() for one in found}
