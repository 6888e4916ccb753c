"""What counting comes to, beside language models: the same numbers in training and evaluation, the lower the better."""

import re

import pytest

from attention import specs
from attention.evaluation import load, report
from attention.runs.directory import RunDirectory
from attention.training import config, loop, recipe, result, rivals
from tests.support import toy

MODEL = {"encoder": "transformer(layers=1)", "mask": "causal", "mixer": "attention(heads=2)", "dim": 8}


def settings(source, rival="auto", **data):
    fields = toy.fields(source, steps=4)
    fields |= {"task": "lm", "rival": rival, "model": MODEL, "data": {**fields["data"], "max_length": 8, **data}}
    return config.from_dict(fields)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("rivals")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    loop.train(settings(toy.write_data(folder)), folder / "run")
    yield RunDirectory(folder / "run")
    patch.undo()


def test_it_stands_beside_the_members(run):
    stored = run.read_result()
    rival = stored["rival"]
    assert (rival["spec"], rival["failed"], rival["note"]) == ("kneser_ney", False, None)
    assert rival["facts"]["converged"] is True
    texts = [line.split("\t")[0] for line in (run.path.parent / "train.tsv").read_text().splitlines()[1:]]
    assert rival["tokens"] == sum(len(text.split()) + 1 for text in texts)
    line = next(line for line in result.table(stored).splitlines() if line.startswith("rival "))
    test, validation = (rival["splits"][name]["nll"] for name in ("test", "validation"))
    assert line.startswith(f"rival kneser_ney: {test:.4f} (acc {100 * rival['splits']['test']['accuracy']:.2f}, ")
    assert line.endswith(f"); {validation:.4f} on validation")
    assert "no member is better than the rival kneser_ney" in result.table(stored)  # after 4 updates


@pytest.mark.parametrize("better", [True, False])
def test_a_lower_loss_is_better(run, better):
    stored = run.read_result()
    stored["rival"]["splits"]["test"]["nll"] = stored["members"][0]["test"]["nll"] + 0.01 * (1 if better else -1)
    assert ("no member is better than the rival" in result.table(stored)) != better


def test_evaluation_has_its_very_numbers(run):
    """In a new object, from the arrays of the run, of a split of the run and of a file, whose texts stand alone."""
    trained, stored = load(str(run.path)), run.read_result()["rival"]["splits"]
    assert trained.rival(trained.examples("validation")).scores == stored["validation"]
    file = run.path.parent / "test.tsv"
    of_file, of_split = (dict(scores) for scores in (trained.rival(trained.read_files(file)[0]).scores, stored["test"]))
    assert of_file.pop("count") > of_split.pop("count")  # windows that begin with each text, and one stream
    assert of_file.pop("exact_match") is of_split.pop("exact_match") is None
    assert of_file == pytest.approx(of_split, rel=1e-12)
    for said in (report.report(str(run.path)), report.report(str(run.path), data=str(file))):
        assert re.search(rf"rival kneser_ney +{stored['test']['nll']:.4f}", said)


def test_other_windows_are_the_same_tokens(run):
    """What was fitted for one is taken for the others."""
    cuts = ({}, {"max_length": 16}, {"windows": "documents"}, {"stride": 3})
    data = [recipe.load_data(settings(run.read_data().source, **cut)) for cut in cuts]
    assert len({rivals._key(specs.build("rival", "kneser_ney"), each) for each in data}) == 1
    assert len({rivals._cut(each.splits["test"]) for each in data}) == len(cuts)


def test_too_many_tokens(run):
    data = recipe.load_data(settings(run.read_data().source))
    count = run.read_result()["rival"]["tokens"]
    assert rivals._left_out(specs.build("rival", f"kneser_ney(tokens={count})"), data) is None
    found = rivals._left_out(specs.build("rival", "kneser_ney(tokens=9)"), data)
    assert found == {"note": f"train has {count} tokens, and it takes 9 unless its option tokens says more"}
