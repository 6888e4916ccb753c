"""Two runs compared: by seed with the statistics of a sweep, by example with McNemar's test."""

import shutil

import numpy as np
import pytest
from scipy import stats

from attention.files import read_json
from attention.lab import by_block, by_example, compare_runs
from attention.runs import json_files
from attention.runs.directory import RunDirectory
from attention.training import config as configs
from attention.training import loop
from tests.support import toy


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of poolings: A with seeds 0, 1, 2 and B with 1, 2, 3; and their data."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("compare")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)
    for name, pooling, seeds in (("a", "mean", (0, 1, 2)), ("b", "max", (1, 2, 3))):
        fields = toy.fields(source)
        fields["model"]["pooling"] = pooling
        loop.train(configs.from_dict({**fields, "seeds": seeds}), folder / name)
    yield folder
    patch.undo()


def rows(text):
    """The lines of tables, by their first word."""
    return {line.split()[0]: line.split() for line in text.splitlines() if line}


def test_members_are_paired_by_seed(runs):
    text = compare_runs.compare([str(runs / "a"), str(runs / "b")])
    a, b = ({m["seed"]: m["test"] for m in read_json(runs / name / "result.json")["members"]} for name in "ab")
    assert 'model.pooling: "mean" in A, "max" in B' in text
    for metric, scale, digits in (("accuracy", 100, 2), ("nll", 1, 4)):
        differences = np.array([b[seed][metric] - a[seed][metric] for seed in (1, 2)])
        test = stats.ttest_1samp(differences, 0)
        low, high = test.confidence_interval(0.95)
        shown = rows(text)[metric]
        assert shown[1] == "2"
        assert shown[2] == f"{scale * np.mean([a[seed][metric] for seed in (1, 2)]):.{digits}f}"
        assert shown[4:8] == [
            f"{scale * differences.mean():.{digits}f}",
            f"{scale * low:.{digits}f}",
            "to",
            f"{scale * high:.{digits}f}",
        ]
        once = test.confidence_interval(0.9)  # of two one-sided tests
        ends = min(0.0, once.low), max(0.0, once.high)
        assert shown[8:11] == [f"{scale * ends[0]:.{digits}f}", "to", f"{scale * ends[1]:.{digits}f}"]
        assert shown[11] == f"{test.pvalue:.4f}"
    assert "2 seeds are left out" in text


def test_predictions_are_compared_by_example(runs):
    text = rows(compare_runs.compare([str(runs / "a"), str(runs / "b")]).partition("by example")[2])
    a, b = (RunDirectory(runs / name).read_predictions()["correct"] for name in "ab")
    found = by_example.mcnemar(a[1], b[0])  # seed 1 of each
    only_a, only_b = int((a[1] & ~b[0]).sum()), int((~a[1] & b[0]).sum())
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert text["1"][1:5] == [str(found.both), str(only_a), str(only_b), str(found.neither)]
    assert text["1"][5] == f"{stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1:.4f}"
    assert {"1", "2"} <= text.keys()
    assert not {"0", "3"} & text.keys()


def test_one_seed_gets_no_verdict(runs, tmp_path):
    for name, place in (("a", 1), ("b", 0)):
        (tmp_path / name).mkdir()
        for file in ("config.json", "data.json", "identity.json", "environment.json", "sources.json"):
            (tmp_path / name / file).write_text((runs / name / file).read_text())
        result = RunDirectory(runs / name).read_result()
        RunDirectory(tmp_path / name).write_result({**result, "members": [result["members"][place]]})
    text = compare_runs.compare([str(tmp_path / "a"), str(tmp_path / "b")])
    assert rows(text)["accuracy"][-2:] == ["one", "seed"]
    assert "the difference may be due to chance" in text
    assert f"predictions are not compared by example: {tmp_path / 'a'} has not stored them; {tmp_path / 'b'} has not" in text


def changed(runs, where, name, *, members=None, **fields):
    """A copy of a run whose result, and of its members, has other fields."""
    shutil.copytree(runs / name, where / name)
    result = RunDirectory(where / name).read_result()
    changed = [{**member, **(members or {}).get(member["seed"], {})} for member in result["members"]]
    RunDirectory(where / name).write_result({**result, **fields, "members": changed})
    return str(where / name)


def without_predictions(path):
    run = RunDirectory(path)
    run.predictions.unlink()
    run.write_result(run.read_result())


def test_a_member_that_failed_is_not_compared_by_example(runs, tmp_path):
    a = changed(runs, tmp_path, "a", members={1: {"test": None, "failed": True}})
    text = rows(compare_runs.compare([a, str(runs / "b")]).partition("by example")[2])
    assert "2" in text
    assert "1" not in text


def test_why_there_is_nothing_to_compare_is_true(runs, tmp_path):
    lost = {"test": None, "failed": True}
    a = changed(runs, tmp_path, "a", members=dict.fromkeys((0, 1, 2), lost))
    with pytest.raises(ValueError, match=f"no member of {a} has a score on test: all failed"):
        compare_runs.compare([a, str(runs / "b")])
    untested = [changed(runs, tmp_path / "untested", name, summary_split="validation") for name in "ab"]
    with pytest.raises(ValueError, match=f"{untested[0]} was scored on validation, {runs / 'b'} on test"):
        compare_runs.compare([untested[0], str(runs / "b")])
    for run in untested:
        without_predictions(run)
    assert f"by example: {untested[0]} has no labelled test split; {untested[1]} has" in compare_runs.compare(untested)
    trials = [changed(runs, tmp_path / "trials", name, summary_split="validation", tested=False) for name in "ab"]
    without_predictions(trials[0])
    assert f"by example: {trials[0]} is of a search, not tested" in compare_runs.compare(trials)


def test_what_cannot_be_compared_is_named(runs, tmp_path):
    with pytest.raises(ValueError, match="--compare takes two runs, --compare runs/A runs/B; got 1"):
        compare_runs.compare([str(runs / "a")])
    with pytest.raises(ValueError, match="there is no such folder"):
        compare_runs.compare([str(runs / "a"), str(runs / "c")])
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    with pytest.raises(ValueError, match="is a sweep; its report compares its variants"):
        compare_runs.compare([str(runs / "a"), str(tmp_path / "sweep")])
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text((runs / "a" / "config.json").read_text())
    with pytest.raises(ValueError, match="is not finished"):
        compare_runs.compare([str(runs / "a"), str(tmp_path / "begun")])
    other = shutil.copytree(runs / "a", tmp_path / "other")
    found = json_files.read(other / "identity.json")
    json_files.write(other / "identity.json", {**found, "splits": {**found["splits"], "test": "0" * 64}})
    with pytest.raises(ValueError, match="were scored on different examples of test"):
        compare_runs.compare([str(runs / "a"), str(other)])


# ---------------------------------------------------------------------------------------------- an answer at each token


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Three language models: A with seeds 0, 1, 2, B with 1, 2, 3, and one with other tokens."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("compare_models")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)
    kinds = (("a", 0.02, "characters", (0, 1, 2)), ("b", 0.2, "characters", (1, 2, 3)), ("words", 0.02, "words", (0, 1)))
    for name, rate, tokenizer, seeds in kinds:
        fields = toy.fields(source, steps=4, learning_rate=rate)
        fields |= {"task": "lm", "data": {"source": source, "tokenizer": tokenizer, "max_length": 8}, "seeds": seeds}
        loop.train(configs.from_dict(fields), folder / name)
    yield folder
    patch.undo()


def test_language_models_are_compared_by_piece_of_text(models):
    text = compare_runs.compare([str(models / "a"), str(models / "b")])
    assert "undefined: exact_match" in text
    assert "by example" not in text
    found = rows(text.partition("nll by piece of test")[2])
    a, b = (RunDirectory(models / name).read_predictions() for name in "ab")
    tokens = a["tokens"][0]
    assert f"the {len(tokens)} pieces of text" in text  # a document each: all are short
    pairs = {"1": (a["nats"][1], b["nats"][0]), "2": (a["nats"][2], b["nats"][1])}
    pairs["mean"] = tuple(np.mean([pairs["1"][side], pairs["2"][side]], axis=0) for side in (0, 1))
    assert not {"0", "3"} & found.keys()
    for seed, (nats_a, nats_b) in pairs.items():
        wanted = by_block.bootstrap(nats_a, nats_b, tokens)
        numbers = nats_a.sum() / tokens.sum(), nats_b.sum() / tokens.sum(), (nats_b - nats_a).sum() / tokens.sum()
        assert found[seed][1:4] == [f"{number:.4f}" for number in numbers]
        assert found[seed][4:7] == [f"{wanted.low:.4f}", "to", f"{wanted.high:.4f}"]
        assert " ".join(found[seed][7:]) == wanted.verdict(higher_is_better=False)
    seeds = {member["seed"]: member["test"]["nll"] for member in read_json(models / "a" / "result.json")["members"]}
    assert found["1"][1] == f"{seeds[1]:.4f}"


def test_means_over_other_tokens_are_not_compared(models):
    text = compare_runs.compare([str(models / "a"), str(models / "words")])
    assert "the two have other tokens: nll, accuracy, perplexity per token cannot be compared" in text
    assert "by piece" not in text
    assert not {"nll", "accuracy", "perplexity"} & rows(text).keys()
    assert rows(text)["bits_per_byte"][1] == "2"


def test_one_number_of_tokens_is_not_yet_the_same_ones(models, tmp_path):
    """What is recorded of the tokens decides; of runs that have not recorded it, their numbers."""
    b = shutil.copytree(models / "b", tmp_path / "b")
    stored = json_files.read(b / "data.json")
    assert set(stored["splits"]["test"]["tokens"]) <= set("0123456789abcdef")
    for tokens, same in (({"tokens": "0" * 64}, False), ({}, True)):
        test = {name: fact for name, fact in stored["splits"]["test"].items() if name != "tokens"} | tokens
        json_files.write(b / "data.json", {**stored, "splits": {**stored["splits"], "test": test}})
        text = compare_runs.compare([str(models / "a"), str(b)])
        assert ("nll, accuracy, perplexity per token cannot be compared; bits_per_byte can" in text) == (not same)
        assert ("nll by piece of test" in text) == same


def test_accuracy_by_sentence():
    """Of a tagger: words that are right, of how many in each sentence."""
    random = np.random.default_rng(0)
    words = random.integers(1, 20, 15)
    a, b = random.binomial(words, 0.7), random.binomial(words, 0.95)
    lines = compare_runs.block_lines(compare_runs.Metric("accuracy", True), {7: (a, b)}, words, True)
    shown = rows("\n".join(lines))
    means = a.sum() / words.sum(), b.sum() / words.sum(), (b.sum() - a.sum()) / words.sum()
    assert shown["7"][1:4] == [f"{100 * mean:.2f}" for mean in means]
    assert shown["7"][-1] == "better"
    assert "mean" not in shown
    assert lines[-1].endswith("15 are few, and the intervals too narrow")


def test_devices_that_differ_are_named(runs, tmp_path):
    """XLA may round otherwise where a CPU was made into more of them."""
    shutil.copytree(runs / "a", tmp_path / "a")
    run = RunDirectory(tmp_path / "a")
    known = run.read_environment()
    told = "device_count: {} in A, {} in B"
    for count, said in ((known["device_count"] + 3, True), (known["device_count"], False), (None, False)):
        json_files.write(run.environment, {**known, "device_count": count})
        text = compare_runs.compare([str(runs / "b"), str(run.path)])
        assert (told.format(known["device_count"], count) in text) is said
