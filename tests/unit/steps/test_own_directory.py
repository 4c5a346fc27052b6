"""A model directory and metrics from a stranger: what is taken, and one clear line for what is not."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelops.steps.context import BadInputError
from modelops.steps.own import curves, directory, pickles
from modelops.steps.own.places import Places

SIGNATURE = json.dumps([{"name": "rain", "type": "double"}])
GOOD = f"flavors: {{python_function: {{loader_module: m}}}}\nsignature: {{inputs: '{SIGNATURE}'}}\n"


class Opaque:
    """Anything whose pickle calls something."""


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        written.writestr(name, content)
    return buffer.getvalue()


def array(values: Any, *, several: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=values) if several else np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(pytest.param("x.bin", pickle.dumps(Opaque(), protocol), id=f"protocol {protocol}") for protocol in range(6)),
        pytest.param("model.joblib", b"", id="a name of joblib"),
        pytest.param("model.pt", b"PK", id="a name of torch"),
        pytest.param("x", archive("archive/data.pkl", b""), id="an archive of torch"),
        pytest.param("x", archive("a", pickle.dumps({})), id="an archive with one in it"),
        pytest.param("x", zlib.compress(pickle.dumps({})), id="zlib"),
        pytest.param("x", gzip.compress(pickle.dumps({})), id="gzip"),
        pytest.param("x", bz2.compress(pickle.dumps({})), id="bz2"),
        pytest.param("x", lzma.compress(pickle.dumps({})), id="xz"),
        pytest.param("x.npy", array(np.array([{}, 1], dtype=object)), id="an array of objects"),
        pytest.param("x.npz", array(np.array([{}, 1], dtype=object), several=True), id="arrays of objects"),
        pytest.param("x", b"PK\x03\x04 and then nothing", id="an archive that cannot be looked into"),
    ],
)
def test_pickle_is_told_by_its_bytes(name: str, content: bytes) -> None:
    """Whatever it is called and however it is packed."""
    assert pickles.is_pickle(name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("weights.json", b"[1.5, 2]", id="JSON"),
        pytest.param("MLmodel", GOOD.encode(), id="YAML"),
        pytest.param("words.txt", b"(A sentence that ends with a full stop.", id="a sentence"),
        pytest.param("weights.npy", array(np.arange(3.0)), id="an array of numbers"),
        pytest.param("weights.npz", array(np.arange(3.0), several=True), id="arrays of numbers"),
        pytest.param("words.json.gz", gzip.compress(b"[1, 2]"), id="compressed JSON"),
        pytest.param("empty", b"", id="an empty file"),
        pytest.param("weights.safetensors", b'\x10\0\0\0\0\0\0\0{"__metadata__":{}}', id="safetensors"),
        pytest.param("model.onnx", b"\x08\x07\x12\x04test", id="ONNX"),
    ],
)
def test_what_is_no_pickle_is_taken(name: str, content: bytes) -> None:
    """The rule must not stand in the way of those who keep it."""
    assert not pickles.is_pickle(name, content)


def _link_out(model: Path) -> None:
    (model / "weights").symlink_to("/etc")


def _pipe(model: Path) -> None:
    os.mkfifo(model / "weights")


def _deep(model: Path) -> None:
    (model / "MLmodel").write_text("a: " + "[" * 50_000)


def _laugh(model: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (model / "MLmodel").write_text(GOOD + "\n".join(lines))


def _say(text: str) -> Callable[[Path], None]:
    return lambda model: (model / "MLmodel").write_text(text) and None


def _named(name: bytes) -> Callable[[Path], None]:
    return lambda model: Path(os.fsdecode(os.fsencode(model) + b"/" + name)).write_bytes(b"") and None


def _many(model: Path) -> None:
    for number in range(directory.MAX_FILES + 1):
        (model / f"f{number}").touch()


def _large(model: Path) -> None:
    with (model / "weights").open("wb") as file:
        file.truncate(directory.MAX_MODEL + 1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(_link_out, "model/weights is a symbolic link; write files", id="a link out of it"),
        pytest.param(_pipe, "model/weights is no regular file; write files", id="a pipe"),
        pytest.param(_many, "the model has more than 2048 MiB or 2000 files; write less", id="too many files"),
        pytest.param(_large, "the model has more than 2048 MiB or 2000 files; write less", id="a file too large"),
        pytest.param(_deep, "YAML aliases or is too deep; save", id="YAML that is too deep"),
        pytest.param(_laugh, "YAML aliases or is too deep; save", id="YAML that becomes large"),
        pytest.param(_say("{"), "model/MLmodel is not YAML; save", id="no YAML"),
        pytest.param(_say("- 1"), "has no signature of named columns; give", id="a list"),
        pytest.param(_say("\0"), "model/MLmodel is not YAML; save", id="a NUL byte"),
        pytest.param(_say("a: \xff"), "has no signature of named columns; give", id="no signature"),
        pytest.param(_say('signature: {inputs: \'[{"type": "tensor"}]\'}'), "has no signature of named", id="tensors"),
        pytest.param(
            _say(f"signature: {{inputs: '{SIGNATURE}'}}"), "has no python_function flavor", id="another flavor"
        ),
        pytest.param(_named(b"caf\xe9"), "has a name that not every store keeps", id="a name that is not UTF-8"),
        pytest.param(_named(b"a\nb"), "has a name that not every store keeps", id="a name of two lines"),
    ],
)
def test_directory_that_is_not_as_agreed_is_refused(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    """Where, what, what to do; and nothing outside of it is ever read."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text(GOOD)
    spoil(model)
    with pytest.raises(BadInputError) as refused:
        directory.read(model, "train.py", allow_pickle=False)
    assert str(refused.value).startswith("train.py: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_model_that_is_itself_a_link_is_refused(tmp_path: Path) -> None:
    """Not what it leads to is registered."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "MLmodel").write_text(GOOD)
    (tmp_path / "model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInputError, match="model is a symbolic link"):
        directory.read(tmp_path / "model", "train.py", allow_pickle=False)


def test_pickle_is_taken_where_the_run_says_so(tmp_path: Path) -> None:
    """`allowPickle` is a word in git, with an author."""
    (tmp_path / "MLmodel").write_text(GOOD)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(BadInputError, match=r"model/model\.pkl is a pickle"):
        directory.read(tmp_path, "train.py", allow_pickle=False)
    assert set(directory.read(tmp_path, "train.py", allow_pickle=True)) == {"MLmodel", "model.pkl"}


def test_digest_of_a_model_is_what_it_does_not_when_it_was_saved() -> None:
    """Times, ids and MLflow's own additions do not count; every other byte does."""
    mlmodel = (
        "run_id: ID\nutc_time_created: ID\nflavors: {python_function: {artifacts: {w: {path: w, uri: /tmp/ID}}}}\n"
    )
    files = {"MLmodel": mlmodel.replace("ID", "a").encode(), "weights.json": b"[1]"}
    again = {"MLmodel": mlmodel.replace("ID", "b").encode(), "weights.json": b"[1]"}
    assert directory.digest_of(files, "") == directory.digest_of({**again, "registered_model_meta": b"x"}, "")
    assert directory.digest_of(files, "") != directory.digest_of({**files, "weights.json": b"[2]"}, "")
    with pytest.raises(BadInputError, match="no text or number"):
        directory.digest_of({"MLmodel": b"a: 2026-01-01"}, "train.py")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param('{"loss": 1}', {"loss": [1.0]}, id="a number"),
        pytest.param('{"loss": [2, 1.5]}', {"loss": [2.0, 1.5]}, id="one per epoch"),
        pytest.param('{"loss": 2}\n\n{"loss": 1, "rows": 5}\n', {"loss": [2.0, 1.0], "rows": [5.0]}, id="lines"),
        pytest.param(None, {}, id="no file"),
        pytest.param("{", "metrics.json is not JSON; write", id="broken"),
        pytest.param('{"loss": 1}\n{"lo', "metrics.json is not JSON; write", id="a line that was cut"),
        pytest.param("[" * 100_000, "metrics.json is not JSON; write", id="too deep"),
        pytest.param("[1]", "metrics.json is not JSON; write an object", id="a list"),
        pytest.param('{"loss": "low"}', "loss is neither a number nor a list", id="a word"),
        pytest.param('{"loss": true}', "loss is neither a number nor a list", id="a truth"),
        pytest.param('{"loss": 1' + "0" * 400 + "}", "loss is too large a number", id="a number too large"),
        pytest.param('{"loss": [1, Infinity]}', "loss is not a finite number (value 2 of 2); training", id="infinite"),
        pytest.param(json.dumps({f"m{n}": 1 for n in range(101)}), "has 101 names; write at most 100", id="names"),
        pytest.param(json.dumps({"m": [1] * 100_001}), "m has more than 100000 values; write fewer", id="values"),
    ],
)
def test_metrics_are_read_or_refused(tmp_path: Path, content: str | None, found: Any) -> None:
    """Numbers, one per epoch, as an object or as lines."""
    places = Places(tmp_path)
    places.output.mkdir()
    if content is not None:
        (places.output / "metrics.json").write_text(content)
    if isinstance(found, dict):
        assert curves.read(places, "train.py") == found
        return
    with pytest.raises(BadInputError) as refused:
        curves.read(places, "train.py")
    assert found in str(refused.value)
    assert str(refused.value).startswith("train.py: metrics.json")


def test_metrics_behind_a_link_or_a_pipe_are_not_read(tmp_path: Path) -> None:
    """Neither what lies elsewhere nor what never ends."""
    places = Places(tmp_path)
    places.output.mkdir()
    (places.output / "metrics.json").symlink_to("/proc/self/environ")
    with pytest.raises(BadInputError, match="no regular file"):
        curves.read(places, "train.py")
    (places.output / "metrics.json").unlink()
    os.mkfifo(places.output / "metrics.json")
    with pytest.raises(BadInputError, match="no regular file"):
        curves.read(places, "train.py")
