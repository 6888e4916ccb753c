"""What stands on the first page of a report beside the verdicts: true of this sweep and of its numbers."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from attention.commands import sweep
from attention.lab import costs, report, results
from attention.training import command_line
from tests.support import toy
from tests.support.made_results import failed, made, pending, searched

CONFIG = """
import json
from ml_collections.config_dict import ConfigDict
from attention.lab import grid, plan

def get_config():
    config = ConfigDict(json.loads({fields!r}))
    config.seeds = (0, 1)
    config.sweep = plan.section(grid.param("model.pooling", ["mean", "max"]), baseline="mean")
    return config
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("notes")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    toy.write_data(folder)
    yield folder
    patch.undo()


def swept(folder, workdir, capsys, training=None, flags=(), **splits):
    """What a sweep of two poolings prints, with what is written of it."""
    source = f"files({', '.join(f'{name}={str(path)!r}' for name, path in splits.items())})"
    path = folder / "tiny.py"
    path.write_text(CONFIG.format(fields=json.dumps(toy.fields(source, **(training or {})))))
    try:
        code = command_line.run_main(sweep.main, ["sweep.py", f"--config={path}", f"--workdir={workdir}", *flags])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().out
    files = [workdir / "report.md", workdir / "report.html", *sorted((workdir / "tables").iterdir())]
    return code, said, said + "".join(path.read_text() for path in files)


def written(folder, found):
    results.write(folder / "results.parquet", found)
    return report.write(folder)


def test_without_a_test_split_nothing_is_said_to_be_on_test(folder, tmp_path, capsys):
    code, said, everything = swept(folder, tmp_path / "sweep", capsys, train=folder / "train.tsv")
    assert code == 0
    assert "on test" not in everything
    assert "There is no labelled test split." in said
    assert "Accuracy of trivial rules on validation, %: majority" in said
    # a note that each variant's data has is said once, before anything trains, and again on the first page
    before, _, after = said.partition("members: ")
    assert before.count("were carved off train") == after.count("were carved off train") == 1
    found = results.read(tmp_path / "sweep" / "results.parquet")
    (note,) = [note for note, _ in found.sweep["notes"]]
    assert note in said
    flags = ["--config.sweep.title=Which <pooling>?", "--config.sweep.data_name=toys"]
    code, said, everything = swept(folder, tmp_path / "sweep", capsys, flags=flags, train=folder / "train.tsv")
    assert code == 0
    assert "<h1>Which &lt;pooling&gt;?</h1>" in everything
    assert "by accuracy on validation of toys." in everything
    assert results.read(tmp_path / "sweep" / "results.parquet").rows == found.rows  # nothing is trained again


def test_what_a_paper_asks_of_data_and_machine_is_recorded(folder, tmp_path, capsys):
    names = {name: folder / f"{name}.tsv" for name in ("train", "validation", "test")}
    swept(folder, tmp_path / "sweep", capsys, **names)
    for row in results.read(tmp_path / "sweep" / "results.parquet").rows:
        data, environment = json.loads(row["data"]), json.loads(row["environment"])
        assert set(data["splits"]) == set(names)
        for name, facts in data["splits"].items():
            labels = [line.split("\t")[-1] for line in names[name].read_text().splitlines()[1:]]
            assert facts["examples"] == len(labels)
            assert facts["class_counts"] == [labels.count(label) for label in data["classes"]]
        assert row["measured_started"] <= row["measured_ended"]
        assert "started" not in environment  # or every run would have an environment of its own
        assert environment["processor"] is None or environment["processor"].isprintable()


def test_where_all_members_diverge_the_test_split_is_not_said_to_lack(folder, tmp_path, capsys):
    names = {name: folder / f"{name}.tsv" for name in ("train", "validation", "test")}
    absurd = {"optimizer": "sgd", "learning_rate": 1e30, "warmup": 0, "clip_norm": 0.0}
    code, said, everything = swept(folder, tmp_path / "sweep", capsys, absurd, **names)
    assert code == 1
    assert "no labelled test split" not in everything
    assert "accuracy, % on test" in said
    assert "Members without a score: “mean” 2 of 2; “max” 2 of 2." in said


def test_texts_of_test_that_are_trained_on_are_told(folder, tmp_path, capsys):
    rows = [(folder / f"{name}.tsv").read_text().splitlines() for name in ("train", "test")]
    (tmp_path / "test.tsv").write_text("\n".join([*rows[0][:9], *rows[1][1:]]) + "\n")
    names = {"train": folder / "train.tsv", "validation": folder / "validation.tsv", "test": tmp_path / "test.tsv"}
    _, said, _ = swept(folder, tmp_path / "sweep", capsys, **names)
    found = results.read(tmp_path / "sweep" / "results.parquet").rows
    count, of = found[0]["clean_count"], found[0]["clean_of"]
    assert of - count >= 8
    means = [sum(row["clean"]["accuracy"] for row in pair) / 2 for pair in (found[:2], found[2:])]
    assert f"{of - count} of {of} texts of test are also in train or validation. On the other {count}, accuracy, %:" in said
    assert f"“mean” {100 * means[0]:.2f}; “max” {100 * means[1]:.2f}." in said
    table = (tmp_path / "sweep" / "report.md").read_text()
    assert "clean accuracy, %" in table


def test_nothing_finished_is_nothing_on_test_where_there_is_none(tmp_path):
    found = made(["none", "rope"])
    found = results.Results([pending(row) for row in found.rows], {**found.sweep, "split": "validation"})
    assert "on test" not in written(tmp_path, found)


def test_notes_name_the_variants_that_they_are_about(tmp_path):
    found = made(["none", "rope", "t5"])
    found.sweep["notes"] = [["all of it is noted", found.sweep["variants"]], ["some of it is noted", ["rope"]]]
    said = written(tmp_path, found)
    assert "On the data: all of it is noted." in said
    assert "On the data, of “rope”: some of it is noted." in said


def test_times_of_a_busy_machine_are_left_out(tmp_path):
    found = made(["none", "rope", "t5"], seeds=3)
    for row in found.rows[3:6]:
        row["measured_load"] = 7.0
    for row in found.rows[6:7]:
        row["measured_process_seconds"] = 0.5 * row["measured_update_seconds"]
    none, rope, t5 = costs.ledger(found)
    assert (none.busy, rope.busy, t5.busy) == (None, "7.0 threads wanted 2 cores", "the process had 0.50 cores")
    assert (rope.update_seconds, rope.member_seconds, rope.seconds) == (None, None, None)
    assert rope.process_seconds == found.rows[3]["measured_process_seconds"]
    quiet = [row["measured_update_seconds"] for row in found.rows[7:9]]
    assert t5.update_seconds == pytest.approx(sum(quiet) / 2)
    assert t5.seconds is None
    said = written(tmp_path, found)
    assert "while members of “rope”; “t5” trained (7.0 threads wanted 2 cores): their times are left out." in said
    line = next(line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("| rope | 101,000"))
    assert line.count("busy") == 3


def test_what_a_search_lost_is_told(tmp_path):
    found = made(["none", "rope"], search=searched(4, halvings=1))
    found.rows[0] = failed(found.rows[0])
    said = written(tmp_path, found)
    assert "Trials of the search without a score: “none” 1 of 4." in said
    assert "The search stopped the worse half of the trials early" in said


def test_results_of_before_are_read(tmp_path):
    found = made(["none", "rope"])
    old = [name for name in results.SCHEMA.names if name not in results._ADDED]
    table = pa.Table.from_pylist(found.rows, schema=results.SCHEMA).select(old)
    sweep = {name: value for name, value in found.sweep.items() if name not in ("split", "notes")}
    parquet.write_table(table.replace_schema_metadata({"sweep": json.dumps(sweep)}), tmp_path / "results.parquet")
    assert "Smallest attainable p" in report.write(tmp_path) or "no lower bound on p" in report.write(tmp_path)
    assert costs.ledger(results.read(tmp_path / "results.parquet"))[0].busy is None
