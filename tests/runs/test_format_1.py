"""Runs of format 1, whose files do not say their format: evaluated as ever, and not gone on with.

``format_1`` was trained by commit 56dc08c, without the picture and the checkpoints that only training reads.
"""

import json
import shutil
from pathlib import Path

import pytest

from attention.commands import eval as entry
from attention.evaluation import trained as evaluate
from attention.files import read_json
from attention.runs.directory import RunDirectory
from attention.training import command_line, config, loop

OLD = Path(__file__).parent / "format_1"


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory):
    """The data are generated here."""
    folder, patch = tmp_path_factory.mktemp("format_1"), pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    patch.setenv("TFDS_DATA_DIR", str(folder / "data"))
    yield
    patch.undo()


def test_evaluation_gives_the_recorded_scores(capsys):
    result = read_json(OLD / "result.json")
    assert "format" not in result
    trained = evaluate.load(str(OLD))
    for split in ("test", "validation"):
        for member, recorded in zip(trained.evaluate(split).members, result["members"], strict=True):
            assert member == pytest.approx({"seed": recorded["seed"], **recorded[split]}, abs=1e-5)
    assert command_line.run_main(entry.main, ["eval.py", f"--workdir={OLD}"]) == 0
    printed = capsys.readouterr().out
    for member in result["members"]:
        scores = member["test"]
        row, _ = (line.split() for line in printed.splitlines() if line.startswith(f"seed {member['seed']}"))
        assert row[2:6] == [f"{100 * scores['accuracy']:.2f}", "%", f"{100 * scores['macro_f1']:.2f}", "%"]
    assert f"baseline first_symbol: {100 * result['baselines']['first_symbol']:.2f} %" in printed
    assert "without the texts that are also in train or validation" in printed
    assert "accuracy by length, trained up to 10; mean of 2 members" in printed


def test_a_finished_one_answers_with_its_result(tmp_path, capsys):
    shutil.copytree(OLD, tmp_path / "run")
    result = loop.train(config.from_dict(RunDirectory(OLD).read_config()), tmp_path / "run")
    assert result == read_json(OLD / "result.json")
    assert "is finished; its result:" in capsys.readouterr().out


def test_an_unfinished_one_is_refused(tmp_path):
    shutil.copytree(OLD, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(ValueError, match=r"holds an unfinished run of format 1.*commit 56dc08c can finish it"):
        loop.train(config.from_dict(RunDirectory(OLD).read_config()), tmp_path / "run")


def test_its_weights_can_be_started_from(tmp_path):
    fields = RunDirectory(OLD).read_config()
    fields["training"] |= {"init_from": str(OLD), "steps": 4, "eval_every": 4}
    assert loop.train(config.from_dict(fields), tmp_path / "tuned")["summary"] is not None


def test_a_later_format_is_refused(tmp_path):
    shutil.copytree(OLD, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text('{"format": 4, "seeds": [0]}')
    with pytest.raises(ValueError, match=r"config\.json has format 4; this version reads formats up to 3"):
        evaluate.load(str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("transformer(gate='input', gate_bias=1.0)", "transformer(gate=input(bias=1.0))"),
        ("transformer(gate_bias=-1, layers=1, gate=residual_input)", "transformer(layers=1, gate=residual_input(bias=-1))"),
        ("transformer(gate_bias=2.0)", "transformer"),
        (
            "hierarchical(words=transformer(gate=input, gate_bias=1))",
            "hierarchical(words=transformer(gate=input(bias=1)))",
        ),
    ],
)
def test_options_that_have_moved_are_read_where_they_were(old, new, tmp_path):
    shutil.copytree(OLD, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config_there = read_json(path)
    config_there["model"]["encoder"] = old
    path.write_text(json.dumps(config_there))
    assert RunDirectory(tmp_path / "run").read_config()["model"]["encoder"] == new
