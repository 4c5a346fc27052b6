"""Logs stay within their bounds, whoever still holds them open."""

import os
from pathlib import Path

from modelops.localhome import logfiles


def test_log_over_the_limit_is_cut_and_its_writer_goes_on(tmp_path: Path) -> None:
    """What it held lies beside it, once; the next line of its writer is the first of the new one."""
    log = tmp_path / "mlflow.log"
    with log.open("ab") as writer:
        writer.write(b"a" * 50)
        writer.flush()
        logfiles.rotate(tmp_path, limit=40)
        writer.write(b"next")
        writer.flush()
    assert (log.read_bytes(), (tmp_path / "mlflow.log.1").read_bytes()) == (b"next", b"a" * 50)
    logfiles.rotate(tmp_path, limit=40)
    assert log.read_bytes() == b"next"


def test_oldest_logs_of_steps_and_servers_go_first(tmp_path: Path) -> None:
    """Those of the home's own parts stay, however old they are."""
    for age, name in enumerate(["operator.log", "default.tr-a.train.log", "default.web.0.log", "b.c.train.log"]):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    removed = logfiles.retire(tmp_path, kept=2)
    assert [path.name for path in removed] == ["default.tr-a.train.log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.c.train.log", "default.web.0.log", "operator.log"]
