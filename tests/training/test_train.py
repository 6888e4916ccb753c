"""The trainer end to end on a toy set: results, cohorts, stopping, fine-tuning, and one line for every bad input."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from attention import files
from attention.commands import train as entry
from attention.evaluation import trained as evaluate
from attention.runs import directory
from attention.tasks import classification
from attention.training import command_line, config, loop, recipe
from tests.support import toy

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, token cache, and a finished run of two members."""
    folder = tmp_path_factory.mktemp("train")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)
    (folder / "toy.py").write_text(
        "from ml_collections.config_dict import ConfigDict\n"
        "def get_config():\n"
        f"    return ConfigDict({config.to_dict(config.from_dict(toy.fields(source)))!r})\n"
    )
    loop.train(config.from_dict({**toy.fields(source), "seeds": (0, 1)}), folder / "run")
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def source(folder):
    paths = (f"{name}='{folder / name}.tsv'" for name in ("train", "validation", "test"))
    return f"files({', '.join(paths)})"


def trained(source, where, seeds=(0,), sections=None, **training):
    fields = {**toy.fields(source, **training), "seeds": seeds}
    for name, section in (sections or {}).items():
        fields[name] = {**fields.get(name, {}), **section}
    return loop.train(config.from_dict(fields), where)


def lines(where):
    """The lines of metrics without what the clock says."""
    kept = directory.RunDirectory(where).read_metrics().lines
    return [{k: v for k, v in line.items() if k not in ("seconds", "examples_per_second")} for line in kept]


def best(where):
    return jax.tree.leaves(evaluate.load(str(where)).params)


def test_result_has_what_it_promises(folder):
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["config_hash"] == files.json_hash(
        config.words(config.from_dict(directory.RunDirectory(folder / "run").read_config()))
    )
    assert set(result["baselines"]) >= {"majority"}
    assert [member["seed"] for member in result["members"]] == [0, 1]
    for member in result["members"]:
        assert member["best_step"] in (4, 8, 12)
        assert member["stopped"] is None
        assert set(member["test"]) >= {"accuracy", "macro_f1", "nll", "ece"}
        assert member["validation"]["accuracy"] == max(
            line["accuracy"][member["seed"]] for line in lines(folder / "run") if line["split"] == "validation"
        )
    accuracies = [member["test"]["accuracy"] for member in result["members"]]
    assert result["summary"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    # Student's t with one degree of freedom: 12.706
    assert result["summary"]["accuracy"]["ci95"] == pytest.approx(12.7062 * np.std(accuracies, ddof=1) / 2**0.5, rel=1e-4)
    assert result["parameters"] == sum(leaf.size for leaf in best(folder / "run")) // 2
    assert result["kernel"] == "none"
    assert result["train_seconds"] > 0
    assert result["examples_per_second"] > 0
    assert "cpu" in result["device"]


def test_metrics_have_a_line_for_every_stretch(folder):
    found = lines(folder / "run")
    assert [(line["split"], line["step"]) for line in found] == [
        ("train", 3), ("validation", 4), ("train", 6), ("validation", 8), ("train", 9), ("train", 12), ("validation", 12),
    ]  # fmt: skip
    assert found[0]["loss"][0] != found[0]["loss"][1]
    assert found[0]["learning_rate"] == pytest.approx([0.02, 0.02])
    assert found[2]["epoch"] == pytest.approx(6 / 7)


def test_last_checkpoints_and_the_best_are_kept(folder):
    names = sorted(path.name for path in (folder / "run" / "checkpoints").iterdir())
    assert [name for name in names if name.startswith("step")] == ["step-00000008", "step-00000012"]
    assert len([name for name in names if name.startswith("best")]) == 1


def test_it_learns(source, tmp_path, capsys):
    result = trained(source, tmp_path / "run", steps=300, eval_every=100, log_every=100, learning_rate=0.03, dropout=0.0)
    assert result["members"][0]["test"]["accuracy"] > result["baselines"]["majority"] + 0.2
    printed = capsys.readouterr().out
    assert "step 300/300" in printed
    assert "baseline majority" in printed
    assert "parameters, trained in" in printed


def test_member_of_a_cohort_is_the_single_run(folder, source, tmp_path):
    trained(source, tmp_path / "single", seeds=(1,))
    for together, alone in zip(best(folder / "run"), best(tmp_path / "single"), strict=True):
        assert np.array_equal(np.asarray(together)[1], np.asarray(alone)[0])
    for together, alone in zip(lines(folder / "run"), lines(tmp_path / "single"), strict=True):
        for name, value in alone.items():
            assert value == ([together[name][1]] if isinstance(value, list) else together[name]), name


def test_finished_run_says_so_and_is_left_alone(folder, source, capsys):
    before = (folder / "run" / "result.json").stat().st_mtime_ns
    result = trained(source, folder / "run", seeds=(0, 1))
    assert "is finished" in capsys.readouterr().out
    assert (folder / "run" / "result.json").stat().st_mtime_ns == before
    assert [member["seed"] for member in result["members"]] == [0, 1]


def test_patience_stops_a_member(source, tmp_path):
    result = trained(source, tmp_path / "run", steps=80, patience=2, learning_rate=1e-9, eval_every=2, log_every=40)
    (member,) = result["members"]
    assert member["stopped"] == f"no better validation in 2 after update {member['best_step']}"
    assert result["steps"] == member["best_step"] + 4 < 80


def test_a_diverging_run_stops_and_names_the_update(source, tmp_path, capsys):
    fields = {"optimizer": "sgd", "learning_rate": 1e30, "warmup": 0, "clip_norm": 0.0}
    result = trained(source, tmp_path / "run", **fields)
    (member,) = result["members"]
    assert re.fullmatch(r"loss or gradient not finite at update [23]", member["stopped"])
    assert member["test"] is None
    assert result["summary"] is None
    assert result["summary_split"] == "test"
    said = capsys.readouterr().out
    assert "seed 0: loss or gradient not finite" in said
    assert "no labelled test split" not in said
    assert lines(tmp_path / "run")[0]["step"] == 3


def test_without_a_labelled_test_split_test_is_null(folder, tmp_path, capsys):
    spec = f"files(train='{folder}/train.tsv', validation='{folder}/validation.tsv')"
    result = trained(spec, tmp_path / "run", steps=4)
    assert result["members"][0]["test"] is None
    assert result["summary_split"] == "validation"
    assert result["summary"]["accuracy"]["mean"] == result["members"][0]["validation"]["accuracy"]
    assert "no labelled test split" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("training", "batch_size", 6),
        ("training", "optimizer", "lion"),
        ("training", "schedule", "linear"),
        ("training", "class_weights", "balanced"),
        ("training", "class_weights", "1,2,3"),
        ("training", "epochs", 1.5),
        ("training", "ema_decay", 0.9),
        ("model", "frozen_embeddings", True),
        ("model", "compute_dtype", "bfloat16"),
        ("model", "pooling", "max"),
        ("data", "truncate", "tail"),
        ("data", "buckets", 1),
        ("data", "seed", 1),
    ],
)
def test_every_field_has_an_effect(source, tmp_path, folder, section, field, value):
    """What the tests of single updates do not show: the config reaches what it is meant to reach."""
    changed = {field: value, "steps": 0} if field == "epochs" else {field: value}
    limit = {"data": {"max_length": 6}} if field == "truncate" else {}
    sections = {**limit, section: {**limit.get(section, {}), **changed}}
    trained(source, tmp_path / "run", **{"steps": 8, **(changed if section == "training" else {})}, sections=sections)
    if field == "epochs":
        assert lines(tmp_path / "run")[-1]["step"] == 11
    reference = folder / ("short" if limit else "plain")
    if not reference.exists():
        trained(source, reference, steps=8, sections=limit)
    assert lines(tmp_path / "run") != lines(reference)


def test_fine_tuning_starts_from_the_best_weights(folder, source, tmp_path, capsys):
    fields = {"init_from": str(folder / "run"), "steps": 4, "learning_rate": 1e-12}
    trained(source, tmp_path / "tuned", seeds=(1, 5), **fields)
    start, tuned = best(folder / "run"), best(tmp_path / "tuned")
    for before, after in zip(start, tuned, strict=True):
        np.testing.assert_allclose(np.asarray(before)[[1, 0]], after, atol=1e-6)
    printed = capsys.readouterr().out
    assert "seed 1 starts from that with seed 1" in printed
    assert "seed 5 starts from that with seed 0" in printed


def test_fine_tuning_on_other_classes_draws_a_new_head(folder, tmp_path, capsys):
    for name in ("train", "validation"):
        text = (folder / f"{name}.tsv").read_text().replace("city", "place")
        (tmp_path / f"{name}.tsv").write_text(text)
    spec = f"files(train='{tmp_path}/train.tsv', validation='{tmp_path}/validation.tsv')"
    trained(spec, tmp_path / "tuned", steps=4, learning_rate=1e-12, init_from=str(folder / "run"))
    assert "the head is drawn anew" in capsys.readouterr().out
    before, after = (evaluate.load(str(where)).params for where in (folder / "run", tmp_path / "tuned"))
    np.testing.assert_allclose(before["embedding"]["table"][:1], after["embedding"]["table"], atol=1e-6)
    assert np.abs(before["head"]["kernel"][:1] - after["head"]["kernel"]).max() > 0.1


def test_pretrained_vectors_are_where_training_starts(folder, source, tmp_path):
    (tmp_path / "vectors.txt").write_text("the 1 1 1 1 1 1 1 1\nfig 2 2 2 2 2 2 2 2\n")
    sections = {"model": {"vectors": str(tmp_path / "vectors.txt"), "frozen_embeddings": True}}
    trained(source, tmp_path / "run", steps=4, sections=sections)
    found = evaluate.load(str(tmp_path / "run"))
    row = list(found.tokenizer.vocabulary(found.tokenizer_state)).index("fig")
    np.testing.assert_allclose(found.params["embedding"]["table"][0, row] * 8**0.5, np.full(8, 2.0), rtol=1e-6)


def test_flags_train_into_the_default_folder(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [f"--config={folder}/toy.py", "--config.training.steps=4", "--config.seeds=0,1,2", "--profile"]
    assert command_line.run_main(entry.main, ["train.py", *flags]) == 0
    (made,) = (tmp_path / "runs").iterdir()
    stored = directory.RunDirectory(made).read_config()
    assert made.name == f"toy-{files.json_hash(config.words(config.from_dict(stored)))[:8]}"
    assert stored["seeds"] == [0, 1, 2]
    assert list((made / "profile").rglob("*.pb"))
    assert "95 %" in capsys.readouterr().out


def test_describe_trains_and_writes_nothing(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command_line.run_main(entry.main, ["train.py", f"--config={folder}/toy.py", "--describe"]) == 0
    printed = capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    total = sum(leaf.size for leaf in best(folder / "run")) // 2
    assert re.search(rf"total +{total:,}", printed)
    assert '"learning_rate": 0.02' in printed
    assert "floating-point operations per example" in printed


def test_list_names_variants_and_options(capsys):
    assert command_line.run_main(entry.main, ["train.py", "--list=mask"]) == 0
    assert "local(window=64): " in capsys.readouterr().out
    assert command_line.run_main(entry.main, ["train.py", "--list"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{kind}:" in f"\n{printed}" for kind in ("encoding", "source", "tokenizer"))


BAD = {
    "unknown flag": ("--workdri=x", "unknown flag --workdri (nearest: 'workdir')"),
    "stray argument": ("trec", "stray argument 'trec'"),
    "unknown field": ("--config.training.stepz=1", "unknown config field 'training.stepz'"),
    "ill-typed field": ("--config.training.steps=1.5", "config field 'training.steps' wants a whole number"),
    "missing config": ("--config=none.py", "config file none.py does not exist"),
    "unknown kind": ("--list=encodings", "unknown kind 'encodings' (nearest: 'encoding')"),
    "unknown variant": ("--config.model.encoder=transfomer", "unknown encoder 'transfomer' (nearest: 'transformer')"),
    "unknown option": ("--config.model.mixer=attention(head=2)", "unknown option 'head' (nearest: 'heads')"),
    "option out of range": ("--config.model.encoder=transformer(layers=0)", "layers"),
    "value out of range": ("--config.training.learning_rate=-1", "learning_rate wants a number in (0, inf), got -1"),
    "heads": (
        "--config.model.encoder=transformer --config.model.mixer=attention(heads=3)",
        "dim 8 is not a multiple of its 3 heads",
    ),
    "incompatible pair": ("--config.model.mask=causal", "mask=causal"),
    "too long": (
        "--config.model.encoder=transformer --config.model.encoding=learned(max_length=8)",
        "the encoding has 8 positions",
    ),
    "seeds": ("--config.seeds=a", "config field 'seeds' wants"),
    "missing file": ("--config.data.source=files(train='none.tsv')", "none.tsv"),
    "no label column": ("--config.data.source=files(train='FOLDER/train.tsv', label='y')", "'y'"),
    "class weights": ("--config.training.class_weights=1,2", "class_weights wants 3 numbers above 0"),
    "class weight words": ("--config.training.class_weights=even", "class_weights wants none, balanced or numbers"),
    "vectors": ("--config.model.vectors=none.txt", "no file of word vectors at none.txt"),
    "a program": ("--init_from=m.stablehlo", "init_from=m.stablehlo is a program, which learns no more; eval.py --export="),
    "no such run": ("--init_from=none", "no run at none"),
    "another tokenizer": ("--init_from=FOLDER/run --config.data.tokenizer=bytes", "has the tokenizer"),
    "another width": ("--init_from=FOLDER/run --config.model.dim=16", "does not fit: ['embedding']['table'] is"),
    "two lengths": ("--config.training.epochs=2", "wants one of steps, epochs and tokens"),
    "workdir not empty": ("--workdir=FOLDER", "is not empty and holds no run"),
    "workdir is a file": ("--workdir=FOLDER/train.tsv", "is a file, not a folder"),
    "workdir of another": ("--workdir=FOLDER/run --config.training.steps=99", "training.steps is 12 there, 99 given"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(folder, tmp_path, monkeypatch, capsys, case):
    arguments, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    given = [f"--config={folder}/toy.py", "--workdir=new"]
    given += [f"--{argument}" for argument in arguments.replace("FOLDER", str(folder)).lstrip("-").split(" --")]
    if not arguments.startswith("-"):
        given[-1] = arguments
    assert command_line.run_main(entry.main, ["train.py", *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("arguments", [["--workdri=x"], ["--config.training.dropout=2"]])
def test_bad_input_from_a_shell(arguments):
    done = subprocess.run([sys.executable, "train.py", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_unfinished_origin_is_refused(folder, source, tmp_path):
    (tmp_path / "run").mkdir()
    for path in (folder / "run").iterdir():
        if path.name not in ("result.json", ".lock"):
            (tmp_path / "run" / path.name).symlink_to(path)
    with pytest.raises(ValueError, match="the run is not finished"):
        trained(source, tmp_path / "tuned", init_from=str(tmp_path / "run"))


def test_balanced_weights_want_every_class(folder, tmp_path):
    text = (folder / "validation.tsv").read_text()
    (tmp_path / "train.tsv").write_text(text)
    data = recipe.load_data(config.from_dict(toy.fields(f"files(train='{tmp_path}/train.tsv')")))
    labels = data.splits["train"].labels
    expected = [len(labels) / (3 * (labels == c).sum()) for c in range(3)]
    assert classification.class_weights("balanced", data) == pytest.approx(expected)
    with pytest.raises(ValueError, match="train has none of 'extra'"):
        classification.class_weights("balanced", data._replace(classes=(*data.classes, "extra")))
