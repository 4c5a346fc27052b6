"""The API server's file: all or nothing, whatever the disk does; refused when it is not ours to write."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from modelops.localhome.apiserver.resources import Key
from modelops.localhome.apiserver.store import LAYOUT, Store, StoreRefused, WriteFailed

KEY = Key("", "configmaps")


def config(name: str, size: int = 0) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"text": "x" * size}}


def test_write_that_finds_the_disk_full_changes_nothing_and_the_next_one_succeeds(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands in for the disk: the error is the same."""
    store = Store(tmp_path / "api.db")
    store.put(KEY, config("before"))
    version = store.version
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(WriteFailed, match=r"api\.db: the disk is full; free some space"):
        store.put(KEY, config("big", size=200_000))
    assert (store.version, store.get(KEY, "default", "big")) == (version, None)
    store._db.execute("PRAGMA max_page_count = 100000")
    store.put(KEY, config("big", size=200_000))
    store.close()
    again = Store(tmp_path / "api.db")
    assert [stored.obj["metadata"]["name"] for stored in again.objects(KEY)] == ["before", "big"]


def test_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Rather than misread."""
    with sqlite3.connect(tmp_path / "api.db") as db:
        db.execute(f"PRAGMA user_version = {LAYOUT + 1}")
    with pytest.raises(StoreRefused, match=f"layout {LAYOUT + 1}, this one knows {LAYOUT}"):
        Store(tmp_path / "api.db")


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The line says to move it away."""
    (tmp_path / "api.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreRefused, match="move it away"):
        Store(tmp_path / "api.db")


def test_second_server_of_one_file_is_refused(tmp_path: Path) -> None:
    """One process writes it."""
    store = Store(tmp_path / "api.db")
    with pytest.raises(StoreRefused, match="another API server has this file open"):
        Store(tmp_path / "api.db")
    store.close()
