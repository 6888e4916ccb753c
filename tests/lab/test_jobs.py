"""Cohorts as jobs: what becomes of them, however they end, under an executor that does what a test says."""

import contextlib
import errno
import signal
import threading

import pytest

from attention import heartbeat, specs
from attention.files import TryAgainError
from attention.lab import execute, jobs, sweep_record
from attention.lab.board import Board
from attention.lab.executors import Executor, Seen, Session
from attention.runs import json_files
from attention.runs.directory import RunDirectory
from attention.training import config as configs
from attention.training import job as training_job
from attention.training import loop
from tests.support import sweeps, toy


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A sweep of two cohorts of two members."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("jobs")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    yield sweeps.fields(toy.write_data(folder))
    patch.undo()


@pytest.fixture(scope="module")
def done(grid, tmp_path_factory):
    return sweeps.unmeasured(sweeps.run(grid, tmp_path_factory.mktemp("done") / "sweep"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, "AGAIN_AFTER", 0.0)


class Scripted:
    """An executor whose jobs do at once what the test says, each a function of the script; ``train`` where that is over."""

    def __init__(self, *script, concurrent=1, lasting=True, patience=0.0):
        self.script, self.seen, self.started, self.cancelled = list(script), {}, [], []
        self.executor = Executor(self.open, concurrent, every=0.01, patience=patience, lasting=lasting)

    def open(self):
        return Session(self.start, self.poll, lambda asked: self.cancelled.extend(one.name for one in asked), lambda: None)

    def start(self, one):
        does = self.script.pop(0) if self.script else train
        with contextlib.suppress(_Taken):
            seen = does(one)
            self.started.append(one)
            self.seen[one.name] = seen

    def poll(self, asked):
        return {one.name: self.seen[one.name] for one in asked if self.seen.get(one.name)}


class _Taken(Exception):
    pass


_alone = threading.Lock()  # the variable that says where a job reports is of the whole process


def train(one):
    """What the command of a job does, in this process."""
    (flag,) = (argument for argument in one.command if argument.startswith("--workdir="))
    run = RunDirectory(flag.removeprefix("--workdir="))
    with _alone, pytest.MonkeyPatch.context() as patch:
        for name, value in one.environment.items():
            patch.setenv(name, value)
        with training_job.reporting():
            loop.train(configs.from_dict(run.read_config()), run.path, **training_job.asked(run.path))
    return Seen("ended", "exit code 0", code=0)


def tells(how, reason=""):
    """A job that says how it ended."""

    def end(one):
        json_files.write(one.folder / "ended.json", {"how": how, "reason": reason})
        return Seen("ended", "exit code 1", code=1)

    return end


def dies(begun=True, **how):
    """A job that ends and does not say how."""

    def end(one):
        if begun:
            beat = training_job.Beat("7", "node", "2026-01-01T00:00:00", "2026-01-01T00:00:00")
            json_files.write(one.folder / "job.json", beat._asdict())
        return Seen("ended", **how)

    return end


def raises(error):
    def start(one):
        raise error

    return start


def run(grid, folder, scripted, **options):
    return sweeps.run(grid, folder, executor=scripted.executor, **options)


def test_rows_are_those_of_the_sweep_in_one_process(grid, done, tmp_path):
    scripted = Scripted(concurrent=2)
    rows = run(grid, tmp_path / "it's a sweep", scripted)
    assert sweeps.unmeasured(rows) == done
    assert [one.name.rpartition("-")[2] for one in scripted.started] == ["1", "1"]
    token = sweep_record.token(tmp_path / "it's a sweep")
    assert all(one.name.startswith(f"attention-{token[:8]}-") for one in scripted.started)
    assert all(one.folder.is_absolute() and one.log.is_absolute() for one in scripted.started)
    assert all((one.folder / "ended.json").exists() and (one.folder / "job.json").exists() for one in scripted.started)
    assert not list((tmp_path / "it's a sweep" / "cohorts").iterdir())
    again = Scripted()
    run(grid, tmp_path / "it's a sweep", again)
    assert again.started == []


def test_the_board_knows_which_jobs_run(grid, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Board, "job", lambda self, name, runs: told.append((name, runs)))

    def runs(one):
        threading.Timer(0.1, lambda: scripted.seen.update({one.name: train(one)})).start()
        return Seen("running")

    scripted = Scripted(runs, lambda one: None, runs)
    run(grid, tmp_path / "sweep", scripted)
    first, second = (one.name.split("-")[2] for one in (scripted.started[0], scripted.started[-1]))
    assert list(dict.fromkeys(told)) == [(name, state) for name in (first, second) for state in (False, True, None)]


def test_a_death_is_shown_while_something_may_still_be_heard(grid, tmp_path):
    shown = []

    class Watched(Scripted):
        def poll(self, asked):
            shown.extend(heartbeat.under_way())
            return super().poll(asked)

    run(grid, tmp_path / "sweep", Watched(dies(why="preempted", fault=False), patience=0.3))
    assert any("mean, 2 members: ended (preempted), which is believed" in line for line in shown)


def test_ends_that_are_no_fault_are_not_counted(grid, done, tmp_path):
    """More of them than a cohort may die: preempted, cancelled, on a lost node."""
    scripted = Scripted(
        *[dies(why="preempted", fault=False)] * 5, tells("stopped"), dies(why="timeout", fault=False, limit=True)
    )
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", scripted)) == done
    assert len(scripted.started) == 9
    assert not list((tmp_path / "sweep" / "cohorts").iterdir())


def test_deaths_are_counted_and_split_a_cohort(grid, tmp_path):
    scripted = Scripted(*[dies(why="killed by SIGKILL")] * 3)
    rows = run(grid, tmp_path / "sweep", scripted)
    assert [row["status"] for row in rows] == ["finished"] * 4
    assert [row["cohort_members"] for row in rows] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("does", "why"),
    [(dies(begun=False, why="failed (JobLaunchFailure)"), "failed"), (lambda one: None, "unknown to the scheduler")],
)
def test_jobs_that_never_begin_have_no_want_of_memory(grid, tmp_path, does, why):
    """As where the machines do not see the sweep's folder; no cohort is halved for it."""
    scripted = Scripted(*[does] * 6)
    rows = run(grid, tmp_path / "sweep", scripted)
    assert [row["status"] for row in rows] == ["failed"] * 4
    assert rows[0]["reason"].startswith(f"3 jobs ended before they began: {why}")
    assert rows[0]["reason"].endswith(f"is {tmp_path / 'sweep'} to be seen where they run?")
    assert len(scripted.started) == 6


def test_a_finished_sweep_needs_no_executor(grid, done, tmp_path):
    run(grid, tmp_path / "sweep", Scripted())

    def lacking():
        raise ValueError("sbatch is not to be found here")

    gone = Executor(lacking)
    assert sweeps.unmeasured(sweeps.run(grid, tmp_path / "sweep", executor=gone)) == done


def test_jobs_that_are_not_known_any_more_are_waited_for(grid, done, tmp_path):
    """As long as a file system may take, where the scheduler has forgotten them."""
    scripted = Scripted(lambda one: None, patience=0.3)
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", scripted)) == done
    assert len(scripted.started) == 3

    def late(one):
        threading.Timer(0.1, train, [one]).start()

    scripted = Scripted(late, late, patience=60.0, concurrent=2)
    assert sweeps.unmeasured(run(grid, tmp_path / "late", scripted)) == done
    assert len(scripted.started) == 2


def test_time_that_never_suffices_is_said(grid, tmp_path, capsys):
    scripted = Scripted(*[dies(why="timeout", fault=False, limit=True)] * 3)
    rows = run(grid, tmp_path / "sweep", scripted)
    assert [row["status"] for row in rows] == ["pending"] * 2 + ["finished"] * 2
    said = capsys.readouterr().out
    assert "stopped 3 times without coming to a checkpoint: give it more time" in said
    assert "the same command tries again" in said


def test_a_failure_stands_with_the_last_lines_of_the_log(grid, tmp_path, capsys):
    def fails(one):
        one.log.write_text("begun\nerror: no such thing\n")
        return Seen("ended", "exit code 2", code=2)

    scripted = Scripted(tells("failed", "ValueError: no pooling today"), fails)
    rows = run(grid, tmp_path / "sweep", scripted)
    assert [row["status"] for row in rows] == ["failed"] * 4
    assert rows[0]["reason"] == "ValueError: no pooling today"
    assert rows[2]["reason"] == "exit code 2; its last line: error: no such thing"
    said = capsys.readouterr().out
    assert "failed: mean, 2 members: ValueError: no pooling today" in said
    assert "  begun\n  error: no such thing\n" in said
    assert [row["status"] for row in run(grid, tmp_path / "sweep", Scripted(), retry_failed=True)] == ["finished"] * 4


def test_out_of_memory_splits(grid, tmp_path):
    rows = run(grid, tmp_path / "sweep", Scripted(tells("failed", "out of memory: RESOURCE_EXHAUSTED")))
    assert [row["cohort_members"] for row in rows] == [1, 1, 2, 2]


def test_what_may_pass_is_tried_three_times(grid, done, tmp_path, capsys):
    scripted = Scripted(*[tells("again", "OSError: Input/output error")] * 2)
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", scripted)) == done
    rows = run(grid, tmp_path / "other", Scripted(*[tells("again", "OSError: Input/output error")] * 3))
    assert [row["status"] for row in rows] == ["pending"] * 2 + ["finished"] * 2
    assert "Input/output error; the same command tries again" in capsys.readouterr().out


def test_a_run_of_other_data_stops_the_sweep(grid, tmp_path):
    with pytest.raises(ValueError, match="the train split is not the one recorded"):
        run(grid, tmp_path / "sweep", Scripted(tells("refused", "the train split is not the one recorded")))
    assert not (tmp_path / "sweep" / "failures").exists()


def test_a_full_queue_is_waited_for_and_a_refusal_stops(grid, done, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs.Jobs, "_rest", lambda self, seconds: None)
    scripted = Scripted(*[raises(TryAgainError("the queue is full"))] * 4)
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", scripted)) == done
    scripted = Scripted(raises(ValueError("Slurm refuses the job: no such partition")))
    with pytest.raises(ValueError, match="no such partition"):
        run(grid, tmp_path / "other", scripted)
    assert not list((tmp_path / "other" / "jobs").iterdir())
    assert sweeps.unmeasured(run(grid, tmp_path / "other", Scripted())) == done


def running(one):
    return Seen("running")


@pytest.mark.parametrize("number", [2, 15])
def test_a_job_whose_answer_was_lost_is_not_left_behind(grid, done, tmp_path, number):
    """It may have been taken: nobody would know of it any more."""

    def lost(one):
        signal.raise_signal(number)
        raise TryAgainError("timed out after 30 s")

    scripted = Scripted(lost)
    with pytest.raises(SystemExit) as caught:
        run(grid, tmp_path / "sweep", scripted)
    assert caught.value.code == 128 + number
    (name,) = scripted.cancelled
    assert name.startswith("attention-")
    assert not list((tmp_path / "sweep" / "jobs").iterdir())
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", Scripted())) == done


@pytest.mark.parametrize(("number", "lasting", "cancels"), [(2, True, True), (15, True, False), (15, False, True)])
def test_a_signal_stops_what_it_is_to_stop_and_the_rest_is_joined(grid, done, tmp_path, number, lasting, cancels):
    """An interrupt cancels what this process started; what goes on is found again, and nothing is started twice."""

    def interrupted(one):
        signal.raise_signal(number)
        return running(one)

    first = Scripted(interrupted, lasting=lasting)
    first.open = first.open()._replace(cancel=lambda asked: [first.cancelled.append(one.name) for one in asked] and ends(first))
    first.executor = first.executor._replace(open=lambda: first.open)
    with pytest.raises(SystemExit) as caught:
        run(grid, tmp_path / "sweep", first)
    assert caught.value.code == 128 + number
    assert first.cancelled == ([first.started[0].name] if cancels else [])

    second = Scripted(interrupted if not cancels else train)
    second.seen = dict(first.seen)
    if not cancels:  # still running: joined, and not cancelled by the one who joins
        second.seen = {first.started[0].name: Seen("running")}
        threading.Timer(0.2, train, [first.started[0]]).start()
        second.script = []
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", second)) == done
    assert len(second.started) == (2 if cancels else 1)
    assert second.cancelled == []


def ends(scripted):
    scripted.seen = dict.fromkeys(scripted.seen, Seen("ended", "cancelled", fault=False))


def test_an_executor_that_does_not_answer_is_believed_later(grid, done, tmp_path):
    scripted, silent = Scripted(), [TryAgainError("Slurm does not answer")] * 3

    def poll(asked):
        if silent:
            raise silent.pop()
        return scripted.poll(asked)

    scripted.executor = scripted.executor._replace(open=lambda: scripted.open()._replace(poll=poll))
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", scripted)) == done
    assert len(scripted.started) == 2


@pytest.mark.parametrize("error", [OSError(errno.ESTALE, "Stale file handle"), TryAgainError("job.json cannot be read")])
def test_a_file_server_that_fails_is_waited_for(grid, done, tmp_path, monkeypatch, error):
    failures, read = [error] * 3, training_job.beat

    def beat(folder):
        if failures:
            raise failures.pop()
        return read(folder)

    monkeypatch.setattr(training_job, "beat", beat)
    scripted = Scripted()
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", scripted)) == done
    assert len(scripted.started) == 2
    assert not failures


def test_a_part_runs_beside_the_sweep(grid, done, tmp_path):
    """The sweep lets ``--only`` in, each cohort is one process's, and what a part has trained is not trained again."""
    made = sweeps.planned(grid)
    first, second = (execute.cohort_name(cohort) for cohort in made.cohorts(made.points()))

    def part(one):
        with execute.opened(tmp_path / "sweep", made, part=True) as points:
            with pytest.raises(ValueError, match="in use by another process"):
                execute.run(made, points, only=first)
            execute.run(made, points, only=second)
        return train(one)

    scripted = Scripted(part)
    assert sweeps.unmeasured(run(grid, tmp_path / "sweep", scripted)) == done
    assert len(scripted.started) == 1


@pytest.mark.slow
def test_processes_train_what_one_does(grid, done, tmp_path):
    rows = sweeps.run(grid, tmp_path / "it's two", executor=specs.build("executor", "local(processes=2)"))
    for one, other in zip(sweeps.unmeasured(rows), done, strict=True):
        assert (one["status"], one["key"], one["updates"]) == ("finished", other["key"], 12)
        assert one["test"]["nll"] == pytest.approx(other["test"]["nll"], rel=1e-3)  # on fewer cores: the same to rounding
    hosts = [json_files.read(path)["host"] for path in (tmp_path / "it's two" / "jobs").glob("*/job.json")]
    assert len(hosts) == 2
