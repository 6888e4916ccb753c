"""A sweep trains what is not finished and nothing else, whatever cuts it off, and each point is a run of its own."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from attention import files
from attention.evaluation import trained as evaluate
from attention.lab import collect, costs, dry_run, execute, results, store, tries
from attention.lab import grid as axes
from attention.runs import directory as runs
from attention.runs import json_files, opening
from attention.training import bookkeeping, describe, loop
from attention.training import config as configs
from tests.support import sweeps, toy

ROOT = Path(__file__).parent.parent.parent
RATES = axes.product(
    axes.param("model.pooling", ["mean", "max"]), axes.param("training.learning_rate", {"slow": 0.01, "fast": 0.05})
)
KILLS = 6


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("sweep")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    yield toy.write_data(folder)
    patch.undo()


@pytest.fixture(scope="module")
def grid(source):
    """The fields of a grid of rates and poolings, whose cohorts hold two rates and two seeds."""
    return sweeps.fields(source, RATES, baseline="mean, slow")


@pytest.fixture(scope="module")
def done(grid, tmp_path_factory):
    """The folder of that sweep, run without a break, and its rows."""
    folder = tmp_path_factory.mktemp("done") / "grid"
    return folder, sweeps.run(grid, folder)


def trained(monkeypatch):
    """The seeds and rates of every member that is trained from here on."""
    seen, train = [], loop.train

    def spy(config, *arguments, **options):
        seen.append((config.model.pooling, config.seeds, config.training.learning_rate))
        return train(config, *arguments, **options)

    monkeypatch.setattr(loop, "train", spy)
    return seen


def test_a_member_of_a_merged_cohort_is_bitwise_its_single_run(done, tmp_path):
    folder, rows = done
    assert [row["cohort_members"] for row in rows] == [4] * 8
    for row in (rows[0], rows[3], rows[6]):  # slow and fast, first and last of a cohort
        alone = tmp_path / row["key"][:8]
        loop.train(sweeps.single(row), alone)
        merged, single = (evaluate.load(str(where)) for where in (folder / row["run"], alone))
        pairs = zip(jax.tree.leaves(merged.params), jax.tree.leaves(single.params), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)
        results = [json.loads((where / "result.json").read_text()) for where in (folder / row["run"], alone)]
        for name in ("members", "summary", "baselines", "parameters", "steps", "config_hash", "kernel"):
            assert results[0][name] == results[1][name]
        clock = ("seconds", "examples_per_second")
        lines = [
            [{k: v for k, v in line.items() if k not in clock} for line in runs.RunDirectory(where).read_metrics().lines]
            for where in (folder / row["run"], alone)
        ]
        assert lines[0] == lines[1]
        arrays = [runs.RunDirectory(where).read_predictions() for where in (folder / row["run"], alone)]
        assert arrays[0] is not None
        assert arrays[1] is not None
        assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in ("correct", "predicted"))


def test_a_point_is_a_run_that_evaluates_to_its_row(done):
    folder, rows = done
    assert len({row["key"] for row in rows}) == 8
    assert not list((folder / "cohorts").iterdir())
    for row in rows[::3]:
        found = evaluate.load(str(folder / row["run"])).evaluate("test")
        assert found.members[0]["seed"] == row["seed"]
        for metric in ("accuracy", "macro_f1", "nll", "ece"):
            assert found.members[0][metric] == row["test"][metric]
        assert row["status"] == "finished"
        assert row["split"] == "test"
        assert row["updates"] == 12
        assert row["examples"] == 50 + 5 * 8  # an epoch and what follows
        assert row["reason"] is None
        assert [point["step"] for point in row["validations"]["accuracy"]] == [4, 8, 12]
        assert max(point["value"] for point in row["validations"]["accuracy"]) == row["validation"]["accuracy"]
    fast, slow = (next(row for row in rows if row["variant"] == f"mean, {name}") for name in ("fast", "slow"))
    assert fast["losses"] != slow["losses"]


def test_what_is_finished_is_never_trained_again(done, grid, monkeypatch, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(done[0], folder)
    seen = trained(monkeypatch)
    assert sweeps.run(grid, folder) == done[1]
    assert not seen
    # More seeds and more variants: only they are trained.
    more = axes.product(
        axes.param("model.pooling", ["mean", "max", "sum"]), axes.param("training.learning_rate", {"slow": 0.01, "fast": 0.05})
    )
    rows = sweeps.run({**grid, "seeds": (0, 1, 2), "sweep": {**grid["sweep"], "variants": tuple(more)}}, folder)
    assert seen == [
        ("mean", (2, 2), (0.01, 0.05)),
        ("max", (2, 2), (0.01, 0.05)),
        ("sum", (0, 1, 2) * 2, (0.01,) * 3 + (0.05,) * 3),
    ]
    before = {row["key"]: row for row in done[1]}
    assert len(rows) == 18
    assert [before[row["key"]] for row in rows if row["key"] in before] == [row for row in rows if row["key"] in before]


def test_another_sweep_and_other_folders_are_refused(done, grid, tmp_path):
    with pytest.raises(ValueError, match=r"holds another sweep: base\.training\.steps is 12 there, 13 given"):
        sweeps.run({**grid, "training": {**grid["training"], "steps": 13}}, done[0])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is not the directory of a sweep"):
        sweeps.run(grid, tmp_path)
    with (
        execute.opened(done[0], sweeps.planned(grid)),
        pytest.raises(ValueError, match="in use by another process"),
        execute.opened(done[0], sweeps.planned(grid)),
    ):
        pass


def test_a_cohort_too_large_for_memory_is_split_and_loses_nobody(done, grid, monkeypatch, tmp_path):
    train, sizes = loop.train, []

    def small(config, *arguments, **options):
        sizes.append(len(config.seeds))
        if len(config.seeds) > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes")
        return train(config, *arguments, **options)

    monkeypatch.setattr(loop, "train", small)
    rows = sweeps.run(grid, tmp_path / "sweep")
    assert sizes == [4, 2, 1, 1, 2, 1, 1] * 2
    for row, other in zip(rows, done[1], strict=True):
        assert row["cohort_members"] == 1
        assert {**row, "cohort_members": 4} | dict.fromkeys(filter(measured, row)) == other | dict.fromkeys(
            filter(measured, row)
        )


def measured(name):
    return name.startswith(sweeps.MEASURED)


def test_a_point_that_fails_is_recorded_and_the_others_go_on(grid, monkeypatch, tmp_path):
    train, broken = loop.train, ["max"]

    def breaks(config, *arguments, **options):
        if config.model.pooling in broken:
            raise RuntimeError("no such thing as a maximum")
        return train(config, *arguments, **options)

    monkeypatch.setattr(loop, "train", breaks)
    rows = sweeps.run(grid, tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["finished"] * 4 + ["failed"] * 4
    assert {row["reason"] for row in rows[4:]} == {"RuntimeError: no such thing as a maximum"}
    written = [json.loads(path.read_text()) for path in (tmp_path / "sweep" / "failures").iterdir()]
    assert {(one["format"], one["variant"]) for one in written} == {(json_files.FORMAT, row["variant"]) for row in rows[4:]}
    broken.clear()
    assert [row["status"] for row in sweeps.run(grid, tmp_path / "sweep")] == ["finished"] * 4 + ["failed"] * 4
    assert [row["status"] for row in sweeps.run(grid, tmp_path / "sweep", retry_failed=True)] == ["finished"] * 8


def test_operations_that_cannot_be_counted_cost_no_report(grid, done, monkeypatch, tmp_path):
    def breaks(experiment, members):
        raise RuntimeError("no device counts")

    shutil.copytree(done[0], tmp_path / "sweep")
    (tmp_path / "sweep" / "results.parquet").unlink()
    monkeypatch.setattr(describe, "flops_per_example", breaks)
    made = sweeps.planned(grid)
    found = collect.collect(made, store.Points(tmp_path / "sweep"), {}, "python sweep.py")
    assert {(row["status"], row["flops_per_example"]) for row in found.rows} == {("finished", None)}
    assert [note for note, names in found.sweep["notes"]] == ["operations are not counted: no device counts"] * 4
    assert {one.flops for one in costs.ledger(found)} == {None}


def test_a_member_whose_loss_is_not_finite_fails_alone(source, tmp_path):
    rates = axes.param("training.learning_rate", {"sane": 0.02, "absurd": 1e30})
    rows = sweeps.run(sweeps.fields(source, rates, baseline="sane"), tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["finished"] * 2 + ["failed"] * 2
    made = sweeps.planned(sweeps.fields(source, rates, baseline="sane"))
    assert execute.outcome(made, store.Points(tmp_path / "sweep")) == 1
    assert "not finite at update" in rows[2]["reason"]
    assert rows[2]["updates"] < 12 == rows[0]["updates"]


def test_a_full_disk_stops_with_one_line_and_keeps_what_is_finished(grid, done, monkeypatch, tmp_path):
    write = files.write_json

    def full(path, value):
        if path.name == "result.json" and len(list((tmp_path / "sweep" / "points").glob("*"))) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, value)

    monkeypatch.setattr(json_files, "write_json", full)
    with pytest.raises(ValueError, match="the disk is full; make room and run the same command again"):
        sweeps.run(grid, tmp_path / "sweep")
    monkeypatch.undo()
    rows = sweeps.run(grid, tmp_path / "sweep")
    assert sweeps.unmeasured(rows) == sweeps.unmeasured(done[1])


def keeping(path):
    """The steps of the checkpoints in a sweep's folder."""
    return sorted(found.name for found in path.rglob("step-*"))


def interrupted(grid, workdir, monkeypatch, error):
    """A sweep whose first cohort trains to its first checkpoint and then meets an error, the others at once."""
    save = bookkeeping.save

    def fails(setting, course):
        save(setting, course)
        raise error

    monkeypatch.setattr(bookkeeping, "save", fails)
    rows = sweeps.run(grid, workdir)
    monkeypatch.setattr(bookkeeping, "save", save)
    return rows


def test_what_an_error_leaves_is_gone_on_with(grid, done, monkeypatch, tmp_path):
    """An error that passes leaves a cohort pending; another one is recorded; either way its checkpoints stay."""
    rows = interrupted(grid, tmp_path / "passing", monkeypatch, OSError(errno.EIO, "Input/output error"))
    assert {row["status"] for row in rows} == {"pending"}
    assert len(keeping(tmp_path / "passing")) == 2
    made = sweeps.planned(grid)
    assert execute.outcome(made, store.Points(tmp_path / "passing")) == 75
    rows = interrupted(grid, tmp_path / "lasting", monkeypatch, ValueError("the train split is not the one recorded"))
    assert {row["status"] for row in rows} == {"failed"}
    assert len(keeping(tmp_path / "lasting")) == 2
    assert execute.outcome(made, store.Points(tmp_path / "lasting")) == 1
    assert "not the one recorded" in rows[0]["reason"]
    for folder, retry in (("passing", False), ("lasting", True)):
        rows = sweeps.run(grid, tmp_path / folder, retry_failed=retry)
        assert sweeps.unmeasured(rows) == sweeps.unmeasured(done[1])
        assert execute.outcome(made, store.Points(tmp_path / folder)) == 0
        logs = [path.read_text() for path in (tmp_path / folder / "logs").iterdir()]
        assert all("going on after update" in log for log in logs)


def test_a_cohort_that_runs_out_of_memory_is_set_aside_until_its_halves_are_done(grid, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(execute, "_work_off", only_first(execute._work_off))
        interrupted(grid, tmp_path, patch, RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))
    kept = keeping(tmp_path / "aside")
    assert kept
    sweeps.run(grid, tmp_path, retry_failed=True)
    assert keeping(tmp_path) == []
    assert list((tmp_path / "aside").iterdir()) == []


def only_first(work_off):
    return lambda plan, points, queue, *others: work_off(plan, points, type(queue)([queue[0]]), *others)


def test_a_point_that_lost_its_result_is_trained_again(grid, done, tmp_path):
    folder = shutil.copytree(done[0], tmp_path / "sweep")
    lost = folder / done[1][0]["run"]
    (lost / "result.json").unlink()
    rows = sweeps.run(grid, folder)
    assert {row["status"] for row in rows} == {"finished"}
    assert (lost / "result.json").exists()


def test_processes_that_die_in_a_cohort_again_and_again_split_it(grid, tmp_path):
    made = sweeps.planned(grid)
    with execute.opened(tmp_path / "sweep", made) as points:
        (first, *_) = made.cohorts(made.points())
        for _ in range(3):
            assert tries.Tries(points.cohort(first).path).begin() is None
        (counted,) = (points.path / "cohorts").glob("*.tries.json")
        assert files.read_json(counted)["format"] == json_files.FORMAT
        reason = tries.Tries(points.cohort(first).path).begin()
        assert reason is not None
        assert "died 3 times" in reason
        execute.run(made, points)
        assert points.pending(made.points()) == []
        assert not points.cohort(first).path.exists()
        assert {json.loads(points.run(p).result.read_text())["cohort"]["members"] for p in first} == {2}


def test_a_cohort_that_another_process_trains_is_left_to_it(grid, tmp_path):
    made = sweeps.planned(grid)
    with execute.opened(tmp_path / "sweep", made, part=True) as points:
        (first, *_) = made.cohorts(made.points())
        config = configs.to_dict(configs.cohort([point.config for point in first]))
        with opening.open_run(points.cohort(first).path, config), pytest.raises(ValueError, match="in use by another process"):
            execute.run(made, points)
        assert points.cohort(first).config.exists()
        assert all(points.failure(point) is None for point in made.points())


def test_a_cohort_of_an_older_version_is_left_as_it_is(grid, tmp_path):
    made = sweeps.planned(grid)
    with execute.opened(tmp_path / "sweep", made) as points:
        (first, *_) = made.cohorts(made.points())
        begun = points.cohort(first)
        config = configs.to_dict(configs.cohort([point.config for point in first]))
        with opening.open_run(begun.path, config):
            pass
        stored = json_files.read(begun.config)
        begun.config.write_text(json.dumps(stored))
        begun.data.write_text("{}")
        with pytest.raises(ValueError, match=r"an unfinished run of format 1.*commit 56dc08c can finish it"):
            execute.run(made, points)
        assert begun.config.exists()
        assert all(points.failure(point) is None for point in made.points())


def test_a_search_trains_the_best_draw_and_looks_at_no_test(source, tmp_path):
    search = {"training.learning_rate": "log(1e-6, 1e-1)"}
    given = sweeps.fields(source, search=search, trials=4, halvings=2, training={"steps": 16})
    rows = sweeps.run(given, tmp_path / "sweep")
    trials, final = ([row for row in rows if row["phase"] == phase] for phase in ("search", "final"))
    assert len(trials) == 8
    assert len(final) == 4
    assert all(row["test"] is None and row["correct"] is None and row["split"] == "validation" for row in trials)
    for variant in ("mean", "max"):
        mine = [row for row in trials if row["variant"] == variant]
        assert sorted(row["updates"] for row in mine) == [4, 4, 8, 16]  # half stop at 4, half of the rest at 8
        early = [next(p["value"] for p in row["validations"]["accuracy"] if p["step"] == 4) for row in mine]
        stopped = [value for row, value in zip(mine, early) if row["updates"] == 4]
        assert max(stopped) <= min(value for row, value in zip(mine, early) if row["updates"] > 4)
        assert {"in the worse half after update 4", "in the worse half after update 8"} == {
            row["reason"] for row in mine if row["reason"]
        }
        best = max(mine, key=lambda row: (row["validation"]["accuracy"], -row["validation"]["nll"]))
        chosen = {row["drawn"] for row in final if row["variant"] == variant}
        assert chosen == {best["drawn"]}
        rate = json.loads(best["drawn"])["training.learning_rate"]
        assert all(json.loads(row["config"])["training"]["learning_rate"] == rate for row in final if row["variant"] == variant)


def test_under_vmap_a_member_is_its_run_under_map_to_a_tolerance(grid, done, tmp_path):
    rows = sweeps.run({**grid, "cohort": {"axis": "vmap"}}, tmp_path / "sweep")
    # Of the mean only: without XLA's optimiser, as programs of tests are compiled, ties of a maximum break by rounding.
    for row, other in zip(rows[:4], done[1][:4], strict=True):
        losses = [[point["value"] for point in each["losses"]] for each in (row, other)]
        np.testing.assert_allclose(*losses, rtol=1e-5)
        assert row["cohort_members"] == 4


def test_cohorts_one_by_one_are_the_sweep(grid, done, monkeypatch, tmp_path):
    made = sweeps.planned(grid)
    commands = dry_run.export(made, str(tmp_path), ["--config=c.py"]).splitlines()
    names = [line.partition("--only=")[2].partition(" ")[0] for line in commands if "--only=" in line]
    assert len(names) == 2
    for name in reversed(names):
        with execute.opened(tmp_path / "sweep", made, part=True) as points:
            execute.run(made, points, only=name)
    with (
        execute.opened(tmp_path / "sweep", made, part=True) as points,
        execute.opened(tmp_path / "sweep", made, part=True),
        pytest.raises(ValueError, match=f"has no cohort 0123; cohorts: {names[0]}, {names[1]}"),
    ):
        execute.run(made, points, only="0123")
    seen = trained(monkeypatch)
    assert sweeps.unmeasured(sweeps.run(grid, tmp_path / "sweep")) == sweeps.unmeasured(done[1])
    assert not seen


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
from tests.support import sweeps
from attention.training import backend, command_line
from pathlib import Path
def main(argv):
    backend.prepare()
    sweeps.run(json.load(open(argv[1])), Path(argv[2]))
sys.exit(command_line.run_main(main))
"""


@pytest.fixture(scope="module")
def start(source, tmp_path_factory):
    """Starts a sweep in a process of its own."""
    folder = tmp_path_factory.mktemp("processes")
    given = sweeps.fields(
        source, RATES, baseline="mean, slow", training={"steps": 300, "eval_every": 20, "checkpoint_every": 10}
    )
    (folder / "fields.json").write_text(json.dumps(given))

    def process(workdir, **environment):
        command = [sys.executable, "-c", SCRIPT.format(tests=str(ROOT)), folder / "fields.json", workdir]
        paths = {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **paths, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    process.fields = given
    return process


@pytest.fixture(scope="module")
def unbroken(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "sweep"
    said = start(folder).communicate()[0].decode()
    assert (folder / "results.parquet").exists(), said
    return results.read(folder / "results.parquet").rows


def updates(folder):
    """How far a sweep of two cohorts has come, by its checkpoints: 300 updates each."""
    finished = len(list(folder.glob("points/[!.]*"))) // 4
    steps = [int(path.name.removeprefix("step-")) for path in folder.glob("cohorts/*/checkpoints/step-*[0-9]")]
    return 300 * finished + max(steps, default=0)


@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_has_the_results_of_an_unbroken_one(start, unbroken, tmp_path):
    draws, folder, killed = random.Random(0), tmp_path / "sweep", 0
    # At the end of a cohort too, while it is scored and taken apart.
    for reached in sorted([300, *(draws.randrange(1, 600) for _ in range(KILLS - 1))]):
        process = start(folder)
        while process.poll() is None and updates(folder) < reached:
            time.sleep(0.005)
        time.sleep(draws.uniform(0, 0.3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
    assert killed >= KILLS - 1  # the last may come too late
    process = start(folder)
    said = process.communicate()[0].decode()
    assert process.returncode == 0, said
    assert sweeps.unmeasured(results.read(folder / "results.parquet").rows) == sweeps.unmeasured(unbroken)


def test_cohorts_go_over_several_devices_with_the_same_results(start, unbroken, tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    process = start(tmp_path / "sweep", XLA_FLAGS=flags)
    said = process.communicate()[0].decode()
    assert process.returncode == 0, said
    rows = results.read(tmp_path / "sweep" / "results.parquet").rows
    for one, other in zip(sweeps.unmeasured(rows), sweeps.unmeasured(unbroken), strict=True):
        assert one["status"] == "finished"
        assert one["key"] == other["key"]
        # another number of threads for each device: the same to rounding
        assert one["test"]["nll"] == pytest.approx(other["test"]["nll"], rel=1e-3)
    assert len(rows) == 8
