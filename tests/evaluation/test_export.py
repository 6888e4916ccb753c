"""What leaves of a run: weights that come back, and a program that answers without this package."""

import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from attention.commands import eval as entry
from attention.evaluation import trained as evaluate
from attention.evaluation.export import chosen
from attention.runs import json_files, weights_file
from attention.tasks import classification
from attention.training import command_line, config, loop
from tests.support import toy
from tests.support.helpers import open_sizes

TEXTS = ["the a of oslo", "in in plum", "a never seen word that goes on until it is cut off and then some more of it", "fig"]
MODEL = {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "encoding": "rope", "dim": 8}
# As a user without this package has it.
SERVE = """
import json, sys
import jax, jax.export, numpy, tokenizers
sys.modules["attention"] = sys.modules["flax"] = None  # nothing may import them
path, texts = sys.argv[1], json.loads(sys.stdin.read())
program = jax.export.deserialize(open(path, "rb").read())
tokenizer = tokenizers.Tokenizer.from_file(path + ".tokenizer.json")
tokens = numpy.array([each.ids for each in tokenizer.encode_batch(texts)], numpy.int32)
print(json.dumps(program.call(tokens)["probabilities"].tolist()))
"""


def train(folder, name, *, data=None, model=None, **training):
    fields = toy.fields(toy.write_data(folder), **training)
    fields["model"] = {**MODEL, **(model or {})}
    fields["data"] |= {"max_length": 12, **(data or {})}
    loop.train(config.from_dict({**fields, "seeds": (3, 1)}), folder / name)
    return folder / name


@pytest.fixture(autouse=True)
def _open_sizes():
    with open_sizes():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two members, ``run``; the tests must not change it."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
        train(folder, "run")
        yield folder


@pytest.fixture
def export(folder, capsys):
    """``export(path, *flags)``: exit code, stdout and stderr of eval.py."""

    def run(path, *flags, workdir=folder / "run"):
        capsys.readouterr()
        code = command_line.run_main(entry.main, ["eval.py", f"--workdir={workdir}", f"--export={path}", *flags])
        return (code, *capsys.readouterr())

    return run


def serve(path, texts, cwd):
    """What a process says that has JAX and the tokenizers package alone."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    given = {"input": json.dumps(texts), "capture_output": True, "text": True, "check": True}
    done = subprocess.run([sys.executable, "-I", "-c", SERVE, str(path)], cwd=cwd, env=environment, **given)
    return np.array(json.loads(done.stdout))


def test_a_program_answers_without_this_package(folder, tmp_path, export):
    """Also from a folder with a name in another script; for another batch and length than any it was checked with."""
    (tmp_path / "модель é").mkdir()
    path = tmp_path / "модель é" / "m.stablehlo"
    code, out, _ = export(path, "--member=1")
    assert code == 0
    assert "tokens [b, t] to probabilities [b, 3] on cpu, cuda, tpu" in out
    run = evaluate.load(str(folder / "run"))
    wanted = run.predict(TEXTS, member=1).probabilities
    np.testing.assert_allclose(serve(path, TEXTS, tmp_path), wanted, atol=1e-5)
    np.testing.assert_allclose(serve(path, TEXTS[:1], tmp_path), wanted[:1], atol=1e-5)
    facts = json_files.read(path.with_name("m.stablehlo.json"))
    assert (facts["seed"], facts["classes"], facts["max_length"]) == (1, list(run.data.classes), 12)
    assert facts["inputs"] == [{"name": "tokens", "dtype": "int32", "shape": ["b", "t"]}]


CUT = {"segments": "sentences", "positions": "segment"}


def test_a_part_that_wants_to_know_the_length_gets_a_program_for_each(tmp_path, export, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    scaled = {"encoding": "rope(scaling=dynamic_ntk, train_length=4)"}
    run = evaluate.load(str(train(tmp_path, "run", model=scaled, steps=4)))
    code, out, err = export(tmp_path / "m.stablehlo", workdir=run.run.path)
    assert code == 0, err
    assert "a part wants to know t, so there is a file for each of 8, 16, named after it" in out
    (tmp_path / "m-16.stablehlo.tokenizer.json").symlink_to("m.stablehlo.tokenizer.json")
    texts = [text for text in TEXTS if len(text.split()) > 8]
    wanted = run.predict(texts, member=chosen(run, None).number).probabilities
    np.testing.assert_allclose(serve(tmp_path / "m-16.stablehlo", texts, tmp_path), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        ({"mask": "document"}, CUT, "tokens [b, t], segments [b, t] to"),
        ({"encoding": "learned", "pooling": "cls"}, {"tokenizer": "words(ngrams=2)"}, "t of 16 at most"),
    ],
)
def test_programs_of_other_models(tmp_path, export, monkeypatch, model, data, said):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    run = train(tmp_path, "run", model=model, data=data, steps=4)
    code, out, err = export(tmp_path / "m.stablehlo", workdir=run)
    assert code == 0, err
    assert said in out
    assert float(out.partition("on random texts: ")[2]) < 1e-5
    facts = json_files.read(tmp_path / "m.stablehlo.json")
    assert ("vocabulary" in facts) == ("tokenizer" in data) != (tmp_path / "m.stablehlo.tokenizer.json").exists()


def test_weights_come_back(folder, tmp_path, export):
    path = tmp_path / "m.safetensors"
    assert export(path, "--member=1")[0] == 0
    run = evaluate.load(str(folder / "run"))
    fields = config.to_dict(run.settings)
    fields["training"] |= {"init_from": str(path), "steps": 2, "learning_rate": 1e-12, "eval_every": 2}
    loop.train(config.from_dict({**fields, "seeds": (0, 1)}), tmp_path / "tuned")
    tuned = evaluate.load(str(tmp_path / "tuned"))
    alike = lambda was, now: np.testing.assert_allclose(now, np.stack([was[1], was[1]]), atol=1e-6)
    jax.tree.map(alike, run.params, tuned.params)
    assert tuned.tokenizer_state == run.tokenizer_state
    export(path, "--member=3")  # replaces it
    with pytest.raises(ValueError, match="weights it starts from are not those recorded"):
        loop.train(config.from_dict({**fields, "seeds": (0, 1)}), tmp_path / "tuned")


def test_int8_is_smaller_and_says_what_it_costs(folder, tmp_path, export):
    sizes = {}
    for kind in ("none", "int8"):
        for suffix in ("safetensors", "stablehlo"):
            code, out, err = export(tmp_path / f"{kind}.{suffix}", f"--quantize={kind}")
            assert code == 0, err
            assert ("int8 on test, 30 examples: accuracy" in out) == (kind == "int8")
            sizes[kind, suffix] = (tmp_path / f"{kind}.{suffix}").stat().st_size
    assert all(sizes["int8", suffix] < sizes["none", suffix] for suffix in ("safetensors", "stablehlo"))
    whole, less = (
        weights_file.leaves(weights_file.read(tmp_path / f"{kind}.safetensors").weights) for kind in ("none", "int8")
    )
    assert whole.keys() == less.keys()
    for name, leaf in whole.items():
        step = np.abs(leaf).max(axis=tuple(range(leaf.ndim - 1)), keepdims=True) / 127
        assert np.all(np.abs(leaf - less[name]) <= step * 0.51), name
    probabilities = [serve(tmp_path / f"{kind}.stablehlo", TEXTS, tmp_path) for kind in ("none", "int8")]
    assert 0 < np.abs(probabilities[0] - probabilities[1]).max() < 0.05


def test_the_best_on_validation_is_taken(folder, export, tmp_path):
    run = evaluate.load(str(folder / "run"))
    members = run.run.read_result()["members"]
    best = max(members, key=lambda member: (member["validation"]["accuracy"], -member["validation"]["nll"]))
    assert chosen(run, None).seed == best["seed"]
    for member in members:
        found = chosen(run, member["seed"])
        assert found.validation == {name: member["validation"][name] for name in found.validation}


BAD = {
    "no such member": (["m.safetensors", "--member=2"], "has no member with that seed; seeds: 3, 1"),
    "another ending": (["m.safetensor"], "wants a name that ends with .safetensors or .stablehlo (nearest: '.safetensors')"),
    "no folder": (["none/m.stablehlo"], "there is no folder none"),
    "a folder": (["folder.stablehlo"], "is a folder"),
    "another kind": (["m.stablehlo", "--quantize=int4"], "--quantize wants one of none, int8, got 'int4' (nearest: 'int8')"),
    "scores": (["m.stablehlo", "--split=test"], "it goes without --split"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, tmp_path, export, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.stablehlo").mkdir()
    (path, *flags), message = BAD[case]
    code, out, err = export(path, *flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert [each.name for each in tmp_path.iterdir()] == ["folder.stablehlo"]


def test_a_member_goes_with_an_export(folder, capsys):
    assert command_line.run_main(entry.main, ["eval.py", f"--workdir={folder}/run", "--member=1"]) == 2
    assert "they go with --export=FILE" in capsys.readouterr().err


def test_a_task_that_writes_leaves_as_weights_alone(folder, export, tmp_path, monkeypatch):
    monkeypatch.setattr(classification, "served", None)
    record = classification.build()
    monkeypatch.setattr(evaluate.Trained, "task", property(lambda self: record))
    code, _, err = export(tmp_path / "m.stablehlo")
    assert (code, "leaves as weights alone: --export=FILE.safetensors" in err) == (2, True)


def test_without_its_data_the_cost_of_int8_is_a_note(folder, tmp_path, export):
    shutil.copytree(folder / "run", tmp_path / "run")
    for name in ("config.json", "data.json"):
        text = (tmp_path / "run" / name).read_text()
        assert str(folder) in text
    moved = folder.with_name("elsewhere")
    folder.rename(moved)
    try:
        code, out, _ = export(tmp_path / "m.safetensors", "--quantize=int8", workdir=tmp_path / "run")
    finally:
        moved.rename(folder)
    assert (code, "note: what int8 costs is not known: " in out) == (0, True)


def test_damaged_weights_are_named(tmp_path, folder, export):
    path = tmp_path / "m.safetensors"
    export(path)
    whole, start = path.read_bytes(), weights_file.read(path)
    assert start.classes == evaluate.load(str(folder / "run")).data.classes
    rng = np.random.default_rng(0)
    for place in (0, 9, *rng.integers(0, len(whole), 60)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"m\.safetensors"):
            weights_file.read(path)
    for content in (b"", whole[:-1], whole[: len(whole) // 2], b"PK" + whole):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read as safetensors"):
            weights_file.read(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"config": {"model": {"heads": 2}}}, "unknown field config.model.heads"),
        ({"tokenizer": {"../up.json": "{}"}}, "its tokenizer has no plain files"),
        ({"tokenizer": {}}, "no tokenizer file"),
    ],
)
def test_weights_of_another_version_or_hand(folder, tmp_path, export, changed, message):
    path = tmp_path / "m.safetensors"
    export(path)
    weights_file.write(path, weights_file.read(path)._replace(**changed))
    fields = config.to_dict(evaluate.load(str(folder / "run")).settings)
    fields["training"] |= {"init_from": str(path)}
    with pytest.raises(ValueError, match=message):
        loop.train(config.from_dict(fields), tmp_path / "tuned")
