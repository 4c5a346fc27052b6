"""What a file becomes: parts that never move, digests that mean something, and one clear line for what is wrong."""

import io
import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from modelops.api.v1alpha1 import dataset
from modelops.steps import prepare, profile, report, split
from modelops.steps.context import BadInputError
from tests.support import tables


def spec_of(**changes) -> dataset.DatasetSpec:
    """Return the houses' spec."""
    return dataset.DatasetSpec.model_validate(tables.houses_spec(**changes))


def ids(content: bytes) -> set[str]:
    """Return the ids of the rows of a part."""
    return set(parquet.read_table(io.BytesIO(content)).column("id").to_pylist())


@settings(max_examples=10, deadline=None)
@given(first=st.integers(80, 150), added=st.integers(1, 150))
def test_rows_added_later_never_move_old_ones(first, added):
    """Every row of the smaller table is in the same part of the larger one."""
    lines = tables.houses(first + added).splitlines(keepends=True)
    smaller = prepare.prepare_table(b"".join(lines[: first + 1]), "x.csv", spec_of())
    larger = prepare.prepare_table(b"".join(lines), "x.csv", spec_of())

    for part in split.PARTS:
        assert ids(smaller.parts[part]) <= ids(larger.parts[part])


def test_same_bytes_give_the_same_digests_and_parts():
    """A preparation can be repeated byte by byte."""
    first, second = (prepare.prepare_table(tables.houses(200), "x.csv", spec_of()) for _ in range(2))

    assert (first.digest, first.parts) == (second.digest, second.parts)


def test_digest_covers_the_contract_and_not_the_place():
    """Another check is another revision; the same file elsewhere is the same one."""
    original = prepare.dataset_digest("sha256:0", spec_of())

    assert prepare.dataset_digest("sha256:0", spec_of(source={"git": {"path": "other.csv"}})) == original
    assert prepare.dataset_digest("sha256:0", spec_of(checks={"minRows": 2})) != original


HEAD = b"id,area,rooms,kind,price\n"


@pytest.mark.parametrize(
    ("content", "changes", "said"),
    [
        pytest.param(b"", {}, "no header", id="an empty file"),
        pytest.param(HEAD, {}, "no row below the header", id="a header alone"),
        pytest.param(HEAD + b"a,1\x00,,flat,2\n", {}, "is NUL", id="a NUL byte"),
        pytest.param(HEAD + b"a,9,,fl\xe4t,2\n", {}, "line 2 is not UTF-8", id="latin-1"),
        pytest.param(HEAD + b"a,9,,flat,2,3\n", {}, "Expected 5 columns, got 6", id="a row with a field too many"),
        pytest.param(b"id,area\na,1\n", {}, "misses columns 'rooms', 'kind', 'price'", id="columns that are not there"),
        pytest.param(b"id,id\na,1\n", {}, "stands twice", id="a column twice"),
        pytest.param(b"c," * 999_999 + b"c\n1\n", {}, "1000000 columns", id="a million columns"),
        pytest.param(
            tables.houses(50).replace(b"flat", b"tent"),
            {},
            "kind is not one of the values",
            id="a category nobody declared",
        ),
        pytest.param(
            tables.houses(50) + b"x,many,,flat,5\n",
            {},
            "area is not of type float (1, first in line 52)",
            id="a word for a number",
        ),
        pytest.param(tables.houses(50), {"checks": {"minRows": 60}}, "checks.minRows: 50", id="too few rows"),
        pytest.param(
            tables.houses(50) + tables.houses(1)[len(HEAD) :],
            {"checks": {"unique": ["id"]}},
            "checks.unique: 1 rows",
            id="a key twice",
        ),
        pytest.param(
            HEAD + b"".join(b"h%d,9,,flat,7\n" % n for n in range(90)),
            {},
            "same value in every row",
            id="a constant target",
        ),
        pytest.param(HEAD + b"a,9,,flat,\n", {}, "has no value in any row", id="a target that is missing throughout"),
        pytest.param(tables.houses(2), {}, "none falls into", id="a part without rows"),
    ],
)
def test_wrong_file_is_refused_in_one_line(content, changes, said):
    """Bad input names where, what and what to do."""
    with pytest.raises(BadInputError) as refused:
        prepare.prepare_table(content, "x.csv", spec_of(**changes))

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_invalid_rows_go_to_quarantine_with_every_reason():
    """Rows within the allowed share are set aside, counted and explained; all others stay."""
    content = tables.houses(200) + b"bad,2,0,tent,-1\n"

    prepared = prepare.prepare_table(content, "x.csv", spec_of(rows={"maxInvalidPercent": 1}))

    assert prepared.rows == 200
    quarantine = parquet.read_table(io.BytesIO(prepared.quarantine)).to_pylist()
    assert len(quarantine) == 1
    for reason in ("area is below min", "rooms is below min", "kind is not one of the values", "price is below min"):
        assert reason in quarantine[0]["reasons"]


def test_profile_of_2000_columns_with_long_names_stays_within_5_kib():
    """The profile is bounded whatever the table, and its counts are exact."""
    names = [f"{'ü' * 60}{number}" for number in range(2000)]
    columns = [{"name": name, "type": "float", "nullable": True} for name in names]
    spec = spec_of(target=names[0], schema={"columns": columns}, split={})
    rows = pd.DataFrame({name: [1.0, None, 3.0] for name in names})

    document = profile.profile_table(rows, spec, quarantined=0, duplicates=0)

    assert len(json.dumps(document, ensure_ascii=False).encode()) <= 5 * 1024
    assert (document["rows"], document["columns"], document["missing"]) == (3, 2000, 2000)


def test_hostile_names_stand_in_the_report_as_text():
    """A column called like a script is shown, not run."""
    page = report.render_report("t", [("<script>alert(1)</script>", "$\\frac")], [], []).decode()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
