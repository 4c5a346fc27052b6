"""Logs on stderr: one line per record, as text or JSON. Called once by each process's entry point."""

import json
import logging
import sys

from typing_extensions import override


class _JsonLines(logging.Formatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(form: str = "text", *, level: int = logging.INFO) -> None:
    """Send every record to stderr.

    Args:
        form: `text` or `json`.
        level: the least severe level shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if form == "json" else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("kopf", "urllib3", "git", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
