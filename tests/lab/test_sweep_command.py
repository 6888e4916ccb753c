"""sweep.py from the command line: a config file in, a report out, one clear line for what is wrong."""

import json

import pytest

from attention.commands import sweep, train
from attention.lab import results
from attention.training import command_line, config_files
from tests.support import toy

CONFIG = """
import json
from ml_collections import ConfigDict
from attention.lab import grid, plan

def get_config():
    config = ConfigDict(json.loads({fields!r}))
    config.seeds = (0, 1)
    config.sweep = plan.section(grid.param("model.pooling", ["mean", "max"]), baseline="mean"{more})
    return config
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Writes a config file of a sweep over the toy data; returns a function of its source and further options."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("command")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)

    def write(source=source, more=""):
        path = folder / "tiny.py"
        path.write_text(CONFIG.format(fields=json.dumps(toy.fields(source)), more=more))
        return f"--config={path}"

    yield write
    patch.undo()


def call(*arguments):
    return command_line.run_main(sweep.main, ["sweep.py", *arguments])


def test_a_sweep_ends_in_a_report_and_a_second_call_trains_nothing(config, tmp_path, capsys):
    workdir = tmp_path / "sweep"
    assert call(config(), f"--workdir={workdir}") == 0
    said = capsys.readouterr().out
    assert "members: 4 in 2 programs" in said
    assert f"report: {workdir / 'report.html'}" in said
    assert {"report.html", "report.md", "tables", "results.parquet", "figures"} <= {path.name for path in workdir.iterdir()}
    rows = results.read(workdir / "results.parquet").rows
    assert [row["status"] for row in rows] == ["finished"] * 4
    log = next((workdir / "logs").iterdir()).read_text()
    assert "step 12/12" in log  # what training prints goes there
    assert "step 12/12" not in said
    before = (workdir / "report.html").read_bytes()
    assert call(config(), f"--workdir={workdir}") == 0
    assert "2 members: done" in capsys.readouterr().out
    assert (workdir / "report.html").read_bytes() == before
    assert call("--compare", *(str(workdir / row["run"]) for row in (rows[0], rows[2]))) == 0
    assert 'model.pooling: "mean" in A, "max" in B' in capsys.readouterr().out


def test_a_folder_without_a_sweep_wants_a_config(tmp_path, capsys):
    (tmp_path / "typed").mkdir()
    (tmp_path / "typed" / "sweep.json").write_text("{}")
    for flags in ((), ("--dry_run",), ("--export=shell",)):
        assert call(f"--workdir={tmp_path}/typo", *flags) == 2
        near = f"holds no sweep (nearest: {tmp_path}/typed); --config=NAME starts a new one there\n"
        assert capsys.readouterr() == ("", f"error: {tmp_path}/typo {near}")
    assert not (tmp_path / "typo").exists()


def test_a_sweep_keeps_its_name_and_the_command_that_made_it(config, tmp_path, capsys):
    """Python, which has neither, goes on with it; a command with a config gives it others."""
    workdir, flag = tmp_path / "sweep", config()
    assert call("--config", flag.removeprefix("--config="), f"--workdir={workdir}") == 0
    assert capsys.readouterr().out.startswith(f"training {flag.removeprefix('--config=')} into {workdir} (new)\n")
    called = lambda: [results.read(workdir / "results.parquet").sweep[name] for name in ("name", "command")]
    assert called() == ["tiny", f"python sweep.py {flag}"]
    sweep.sweep(config_files.base_config(flag.removeprefix("--config=")), workdir)
    assert capsys.readouterr().out.startswith(f"training a sweep that Python gives into {workdir} (going on)\n")
    assert called() == ["tiny", f"python sweep.py {flag}"]
    assert "Sweep tiny" in (workdir / "report.md").read_text()
    assert call(flag, "--config.sweep.margin=0.01", f"--workdir={workdir}") == 0
    assert called() == ["tiny", f"python sweep.py {flag} --config.sweep.margin=0.01"]
    capsys.readouterr()
    assert call(f"--workdir={workdir}") == 2
    assert f"(it was made by: python sweep.py {flag} --config.sweep.margin=0.01)" in capsys.readouterr().err


WANTING = [
    (["--report={tmp_path}/nothere"], "no results of a sweep at {tmp_path}/nothere: there is no such folder"),
    (["--report={tmp_path}/sweeps"], "there is no such folder (nearest: {tmp_path}/sweep); python sweep.py writes them"),
    (["--report={tmp_path}"], "the folder has no results.parquet"),
]


@pytest.mark.parametrize(("arguments", "message"), WANTING)
def test_a_report_of_nothing_names_the_folder(arguments, message, tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "results.parquet").write_text("")
    assert call(*(argument.format(tmp_path=tmp_path) for argument in arguments)) == 2
    assert message.format(tmp_path=tmp_path) in capsys.readouterr().err


def test_a_dry_run_and_an_export_train_nothing(config, tmp_path, capsys):
    assert call(config(), f"--workdir={tmp_path / 'sweep'}", "--dry_run", "--config.seeds=0,1,2") == 0
    assert "2 variants x 3 seeds" in capsys.readouterr().out
    assert call(config(), f"--workdir={tmp_path / 'sweep'}", "--export=shell", "--config.seeds=0,1,2") == 0
    assert capsys.readouterr().out.count("--config.seeds=0,1,2") == 3
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.sweep.baseline=men"], "got 'men' (nearest: 'mean')"),
        (["--config.model.dim=0"], "config.model.dim wants a number in [1, 2**20], got 0"),
        (["--workdri=x"], "unknown flag --workdri (nearest: 'workdir')"),
        (["--executor=slrum"], "unknown executor 'slrum' (nearest: 'slurm')"),
        (["--executor=slurm(partition=1)"], "partition' wants a string, got 1"),
        (["--compare", "runs/a"], "--compare takes two runs"),
        (["--only=0123", "--workdir={tmp_path}/sweep"], "the sweep has no cohort 0123; cohorts: "),
        (["--workdir={tmp_path}"], "not the directory of a sweep"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(config, arguments, message, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert call(config(), *(argument.format(tmp_path=tmp_path) for argument in arguments)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_train_says_that_a_sweep_is_one(config, capsys):
    assert command_line.run_main(train.main, ["train.py", config()]) == 2
    assert "config tiny is a sweep: python sweep.py --config=..." in capsys.readouterr().err


def test_accuracy_beyond_training_decides_where_it_is_asked_for(config, tmp_path, capsys):
    source = "first_token(train=200, validation=40, test=40, lengths=120, max_length=8)"
    arguments = [config(source, ", metric=plan.BEYOND"), f"--workdir={tmp_path / 'sweep'}"]
    assert call(*arguments) == 0
    found = results.read(tmp_path / "sweep" / "results.parquet")
    assert found.sweep["metrics"][-1] == "accuracy_beyond_training" == found.sweep["metric"]
    for row in found.rows:
        ranges = [each for each in json.loads(row["by_length"])["ranges"] if each["above"] >= 8]
        right = sum(each["count"] * each["accuracy"][0] for each in ranges)
        assert results.score(row, "accuracy_beyond_training") == pytest.approx(right / sum(each["count"] for each in ranges))
    assert "accuracy beyond training, % on lengths" in capsys.readouterr().out
