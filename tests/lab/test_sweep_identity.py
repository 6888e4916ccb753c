"""A sweep holds members of one content: what has changed is refused or trained again, and another question trains nothing."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from attention.commands import sweep as entry
from attention.lab import compare_runs, execute, report, results
from attention.runs import json_files
from attention.runs.directory import RunDirectory
from attention.training import command_line, loop
from tests.support import sweeps, toy

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return toy.write_data(tmp_path / "data")


def poolings(*names):
    from attention.lab import grid

    return grid.param("model.pooling", list(names))


def swap_labels(path):
    path.write_text(path.read_text().replace("\tcity", "\tother").replace("\tfruit", "\tcity").replace("\tother", "\tfruit"))


def never(*_, **__):
    raise AssertionError("something was trained")


def test_data_that_have_changed_are_refused_whatever_is_asked(source, tmp_path):
    folder = tmp_path / "sweep"
    rows = sweeps.run(sweeps.fields(source, seeds=(0,)), folder)
    swap_labels(tmp_path / "data" / "train.tsv")
    for more in ({"seeds": (0, 1)}, {"seeds": (0,), "variants": poolings("mean", "max", "sum")}):
        with pytest.raises(ValueError, match=r"holds a sweep of other data: the train split of files.* is not what it was"):
            sweeps.run(sweeps.fields(source, **more), folder)
    assert results.read(folder / "results.parquet").rows == rows


def test_data_that_change_while_it_trains_stop_it(source, tmp_path, monkeypatch):
    train = loop.train

    def change(*arguments, **options):
        swap_labels(tmp_path / "data" / "train.tsv")
        return train(*arguments, **options)

    made = sweeps.planned(sweeps.fields(source, seeds=(0,)))
    monkeypatch.setattr(loop, "train", change)
    with execute.opened(tmp_path / "sweep", made) as points:
        with pytest.raises(ValueError, match="what was planned has changed: the train split is not the one recorded"):
            execute.run(made, points)
        assert len(points.pending(made.points())) == 2


def test_a_sweep_whose_data_moved_goes_on(source, tmp_path, monkeypatch):
    folder = tmp_path / "sweep"
    rows = sweeps.run(sweeps.fields(source), folder)
    os.rename(tmp_path / "data", tmp_path / "elsewhere")
    moved = source.replace(str(tmp_path / "data"), str(tmp_path / "elsewhere"))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", never)
        again = sweeps.run(sweeps.fields(moved), folder)
    assert [(row["key"], row["test"]) for row in again] == [(row["key"], row["test"]) for row in rows]


def test_another_baseline_or_metric_is_another_question_to_the_same_members(source, tmp_path, monkeypatch):
    folder = tmp_path / "sweep"
    sweeps.run(sweeps.fields(source), folder)
    monkeypatch.setattr(loop, "train", never)
    sweeps.run(sweeps.fields(source, baseline="max", metric="nll"), folder)
    assert results.read(folder / "results.parquet").sweep["baseline"] == "max"


def test_one_config_of_one_content_under_two_names_is_refused(source, tmp_path):
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    from attention.lab import grid

    copies = grid.param("data.source", {"one": source, "other": source.replace("data", "copy")})
    with pytest.raises(ValueError, match="'one' and 'other' are one config with data of one content"):
        sweeps.planned(sweeps.fields(source, copies, baseline="one"))


def test_a_sweep_of_an_older_version_is_named(source, tmp_path):
    made = sweeps.planned(sweeps.fields(source))
    (tmp_path / "sweep").mkdir()
    old = {"base": made.sweep.base, "baseline": "mean", "metric": "accuracy", "search": None}
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"format": 2, **old}))
    with (
        pytest.raises(ValueError, match=r"holds a sweep of an older version.*--report="),
        execute.opened(tmp_path / "sweep", made),
    ):
        pass


def call(*arguments):
    return command_line.run_main(entry.main, ["sweep.py", *arguments])


def test_report_asks_another_question_and_trains_nothing(source, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "sweep"
    sweeps.run(sweeps.fields(source, variants=poolings("mean", "max", "sum")), folder)
    monkeypatch.setattr(loop, "train", never)
    assert call(f"--report={folder}", "--baseline=max", "--metric=nll") == 0
    text = (folder / "report.md").read_text()
    assert "minus the baseline “max”" in text
    assert "by nll on test" in text
    capsys.readouterr()
    for flags, message in (
        (["--baseline=maxx"], "--baseline wants one of mean, max, sum, got 'maxx' (nearest: 'max')"),
        (["--metric=acuracy"], "--metric wants one of accuracy, "),
        (["--metric=f1"], "got 'f1' (nearest: 'macro_f1')"),
    ):
        assert call(f"--report={folder}", *flags) == 2
        assert message in capsys.readouterr().err
    assert call("--baseline=max") == 2
    assert "goes with --report=DIR" in capsys.readouterr().err


def test_the_printed_command_trains_a_member_again(source, tmp_path):
    folder = tmp_path / "sweep"
    (row, *_) = sweeps.run(sweeps.fields(source), folder)
    assert call(f"--report={folder}") == 0
    command = next(line for line in (folder / "report.md").read_text().splitlines() if line.startswith("mkdir -p"))
    assert row["run"] in command
    shell = f"cd {shlex.quote(str(ROOT))} && {re.sub(r'&& python ', '&& $PYTHON ', command)}"
    environment = {**os.environ, "PYTHON": os.sys.executable}
    done = subprocess.run(shell, shell=True, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    again = RunDirectory(folder / "again" / Path(row["run"]).name)
    assert again.read_result()["members"][0]["test"] == {
        name: row["test"][name] for name in again.read_result()["members"][0]["test"]
    }


def test_members_with_other_sources_are_named_and_trained_again(source, tmp_path):
    folder = tmp_path / "sweep"
    given = sweeps.fields(source)
    rows = sweeps.run(given, folder)
    run = RunDirectory(folder / rows[0]["run"])
    json_files.write(run.sources, {**run.read_sources(), "poolings/mean.py": "0" * 64})
    sweeps.run(given, folder)
    assert call(f"--report={folder}") == 0
    said = (folder / "report.md").read_text()
    assert "mean, seed 0 was trained with other files of the package than the others (poolings/mean.py)" in said.replace(
        "\\", ""
    )
    other = RunDirectory(folder / rows[2]["run"])
    assert "trained by other files of the package: poolings/mean.py" in compare_runs.compare([str(run.path), str(other.path)])
    made = sweeps.planned(given)
    with execute.opened(folder, made) as points:
        assert execute.set_changed_aside(made, points).startswith("1 trained with other files of the package")
    again = sweeps.run(given, folder)
    assert [(row["key"], row["test"]) for row in again] == [(row["key"], row["test"]) for row in rows]
    assert results.read(folder / "results.parquet").sweep["other_sources"] == []
    assert [path.name for path in (folder / "replaced").iterdir()] == [f"{run.path.name}.0"]


def test_compare_says_where_the_content_differs(source, tmp_path):
    made = sweeps.planned(sweeps.fields(source))
    wanted = made.points()[0].config
    loop.train(wanted, tmp_path / "a")
    swap_labels(tmp_path / "data" / "train.tsv")
    loop.train(wanted, tmp_path / "b")
    said = compare_runs.compare([str(tmp_path / "a"), str(tmp_path / "b")])
    assert "the train split has another content in A than in B" in said
    assert "validation split" not in said


def test_a_folder_that_holds_another_point_is_refused(source, tmp_path):
    folder = tmp_path / "sweep"
    rows = sweeps.run(sweeps.fields(source), folder)
    one, other = (folder / rows[place]["run"] for place in (0, 2))
    os.rename(one, tmp_path / "t")
    os.rename(other, one)
    os.rename(tmp_path / "t", other)
    with pytest.raises(ValueError, match=r"points/.* holds another run than its name says"):
        sweeps.run(sweeps.fields(source), folder)


def test_results_of_another_sweep_are_not_reported_on(source, tmp_path):
    for name, variants in (("a", poolings("mean", "max")), ("b", poolings("mean", "sum"))):
        sweeps.run(sweeps.fields(source, variants=variants), tmp_path / name)
    shutil.copyfile(tmp_path / "a" / "results.parquet", tmp_path / "b" / "results.parquet")
    with pytest.raises(ValueError, match=r"results\.parquet is of another sweep than .*sweep\.json beside it"):
        report.write(tmp_path / "b")


def test_members_that_are_not_finite_are_tried_again(source, tmp_path):
    given = sweeps.fields(source, training={"learning_rate": 1e30, "clip_norm": 0.0})
    folder = tmp_path / "sweep"
    rows = sweeps.run(given, folder)
    assert {row["status"] for row in rows} == {"failed"}
    sweeps.run(given, folder, retry_failed=True)
    assert len(list((folder / "replaced").iterdir())) == 4


def test_members_of_a_search_are_all_trained_again(source, tmp_path):
    given = sweeps.fields(source, seeds=(0,), search={"training.learning_rate": "log(1e-3, 1e-1)"}, trials=2)
    folder = tmp_path / "sweep"
    sweeps.run(given, folder)
    for run in (folder / "points").iterdir():
        path = RunDirectory(run).sources
        json_files.write(path, {**json_files.read(path), "poolings/mean.py": "0" * 64})
    made = sweeps.planned(given)
    with execute.opened(folder, made) as points:
        assert execute.set_changed_aside(made, points).startswith("6 trained with other files of the package")
