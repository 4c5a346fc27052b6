"""For all tests: in CI a skip that nobody announced is a failure."""

import os
import signal
from pathlib import Path

import pytest

_ANNOUNCED = Path(__file__).parent / "announced_skips.txt"


def pytest_configure() -> None:
    """Let Ctrl-C be heard: what a shell starts in the background inherits that it is not, and passes it on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which skips were not announced; `pytest_sessionfinish` fails on them."""
    for report in getattr(config, "unannounced", ()):
        terminalreporter.write_line(f"skipped without being announced in {_ANNOUNCED.name}: {report}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI session in which a test was skipped that is not on the list."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    lines = _ANNOUNCED.read_text(encoding="utf-8").splitlines()
    announced = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    skipped = {report.nodeid for report in reporter.stats.get("skipped", ())}
    unannounced = sorted(node for node in skipped if not node.startswith(announced or ("\0",)))
    session.config.unannounced = unannounced  # type: ignore[attr-defined]
    if unannounced and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
