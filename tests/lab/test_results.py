"""``results.parquet`` that is damaged, or that somebody has made: one line, and never other numbers."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from attention.files import json_hash
from attention.lab import against_rival, report, results
from tests.support.made_results import made, searched


def rivalled(*variants, seeds=1, score=0.7):
    found = made(variants, seeds=seeds)
    return found._replace(rows=[{**row, "rival": "linear", "rival_scores": {"accuracy": score}} for row in found.rows])


def test_a_flipped_bit_is_one_line_or_changes_nothing(tmp_path):
    """Names of columns, their types and counts, of which checksums of pages know nothing, among them."""
    path = tmp_path / "results.parquet"
    results.write(path, rivalled("none", "rope"))
    whole, wanted, refused = path.read_bytes(), results.read(path), 0
    for bit in range(0, 8 * len(whole), 211):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert results.read(path) == wanted
        except ValueError as error:
            refused += str(error).startswith(f"{path} ") and "\n" not in str(error)
            assert refused
    assert refused > 300


def test_content_that_was_changed_is_refused(tmp_path):
    """Whole pages with checksums of their own: another value, another name of a column, a row less."""
    path = tmp_path / "results.parquet"
    results.write(path, rivalled("none", "rope", seeds=2))
    table = parquet.read_table(path)
    place = table.schema.names.index("rival")
    shifted = pa.array([value + 1 for value in table["seed"].to_pylist()])
    changed = [
        table.set_column(table.schema.names.index("seed"), "seed", shifted),
        table.rename_columns(["rivbl" if name == "rival" else name for name in table.schema.names]),
        table.remove_column(place),
        table.slice(1),
    ]
    for other in changed:
        parquet.write_table(other.replace_schema_metadata(table.schema.metadata), path)
        with pytest.raises(ValueError, match="its content does not have the hash it was written with"):
            results.read(path)


def _doubled(found):
    return {"rows": [*found.rows, found.rows[0]]}


def _row(**changed):
    return lambda found: {"rows": [{**found.rows[0], **changed}, *found.rows[1:]]}


def _sweep(**changed):
    return lambda found: {"sweep": {**found.sweep, **changed}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_doubled, "the variant 'none' has seed 0 twice"),
        (_sweep(variants=[]), "it compares no variants"),
        (_sweep(baseline="ropo"), r"its baseline 'ropo' is not among its own \(nearest: 'rope'\)"),
        (_sweep(variants=5), "int"),
        (_sweep(variants=["none"]), "a row of 'rope', seed 0, which is none of its variants"),
        (_sweep(metric="acuracy"), r"its metric 'acuracy' is not among its own \(nearest: 'accuracy'\)"),
        (_sweep(title="a\u2028b"), r"its title wants no control characters, got U\+2028 in 'a\\u2028b'"),
        (_sweep(variants=["none", "rope", "x\x1b[31m"]), r"the name of a variant wants no control characters, got U\+001B"),
        (_row(config="{"), "Expecting property name"),
        (_row(config=None), "NoneType"),
        (_row(config="[]"), r"a row of 'none', seed 0: config is \[\], wanted an object of JSON"),
        (_row(config='{"task": 5, "data": {"source": "x"}}'), "a row of 'none', seed 0: its config is none"),
        (_row(environment="[" * 100_000), "."),
        (_row(names=None), "NoneType"),
    ],
)
def test_what_does_not_belong_together_is_one_line(tmp_path, change, message):
    found = made(["none", "rope"], seeds=1)
    results.write(tmp_path / "results.parquet", found._replace(**change(found)))
    with pytest.raises(ValueError, match=message) as error:
        report.write(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'results.parquet'} ")
    assert "\n" not in str(error.value)


def test_trials_of_one_seed_are_many(tmp_path):
    found = made(["none", "rope"], seeds=2, search=searched(4))
    results.write(tmp_path / "results.parquet", found)
    assert len(results.read(tmp_path / "results.parquet").rows) == 2 * (4 + 2)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_of_a_rival_that_is_no_number_is_none(tmp_path, score):
    results.write(tmp_path / "results.parquet", rivalled("none", "rope", seeds=2, score=score))
    found = results.read(tmp_path / "results.parquet")
    assert {json.dumps(row["rival_scores"]) for row in found.rows} == {"{}"}
    assert against_rival.against(found) == []


def test_a_file_with_the_hash_of_before_is_read(tmp_path):
    """That of what is compared alone."""
    path, found = tmp_path / "results.parquet", made(["none", "rope"], seeds=1)
    table = pa.Table.from_pylist(found.rows, schema=results.SCHEMA)
    metadata = {"sweep": json.dumps(found.sweep), "sha256": json_hash(found.sweep)}
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    assert results.read(path).sweep["baseline"] == "none"
    metadata["sweep"] = json.dumps({**found.sweep, "baseline": "rope"})
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(ValueError, match="does not have the hash"):
        results.read(path)
