"""Contexts longer than those of training: by hand, beside a reference in NumPy, and a run that ends in it."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention import files
from attention.commands import eval as entry
from attention.data import windows
from attention.data.contracts import ELSEWHERE, Encoded
from attention.evaluation import trained as evaluate
from attention.lab import store
from attention.runs import json_files
from attention.runs.directory import RunDirectory
from attention.training import command_line, config, contexts, loop, recipe
from tests.support import toy

T = 8


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("contexts")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    found = toy.write_data(folder)
    toy.write_split(folder / "test.tsv", 60, 2)  # 16 windows of 8 T
    yield found
    patch.undo()


def fields(source, *, data=None, **model):
    """The fields of a small language model, by characters."""
    given = toy.fields(source, steps=6, eval_every=3)
    given |= {"task": "lm", "data": {"source": source, "tokenizer": "characters", "max_length": T, **(data or {})}}
    mixer = {"encoder": "transformer(layers=1)", "mixer": "attention(heads=1)", "encoding": "rope", "mask": "causal"}
    return {**given, "model": {**mixer, "dim": 8, **model}}


def untrained(source, *, data=None, seeds=(0, 1), **model):
    """The config, the model, weights of two members that nobody trained, and test."""
    made = recipe.experiment(config.from_dict({**fields(source, data=data, **model), "seeds": seeds}))
    init = lambda seed: made.model.init(jax.random.key(seed), **made.model.example())["params"]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(init, seeds))
    return made.config, made.model, params, made.data.splits["test"]


def report(source, **given):
    settings, model, params, encoded = untrained(source, **given)
    spread = recipe.spread(params, settings)
    return contexts.measured(model, spread, encoded, settings, [True] * len(settings.seeds), split="test")


# ---------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(("kind", "stride"), [("stream", 0), ("stream", 3), ("documents", 3), ("packed", 0)])
def test_the_stream_of_any_windows(kind, stride):
    parts = [np.arange(start, start + size, dtype=np.int32) for start, size in ((0, 9), (20, 2), (40, 17))]
    ids = np.concatenate([part for each in parts for part in ([99], each)] + [[99]]).astype(np.int32)  # 99 begins and ends
    flat, wanted, offsets = ids[:-1], ids[1:], np.array([0, 10, 13, 31])
    whole = Encoded(flat, offsets, np.full(3, -1), wanted=wanted, documents=offsets)
    cut = windows.rows(whole, length=4, windows=kind, stride=stride)
    for found, there in zip(contexts.stream(cut), (flat, wanted)):
        np.testing.assert_array_equal(found, there)


def test_windows_by_hand():
    times, ends = contexts.longest(np.array([0, 700]), 10)
    assert times == (1, 2, 4)  # 8 windows of 80 are too few
    assert ends.tolist() == list(range(40, 701, 40))
    times, ends = contexts.longest(np.array([0, 95, 100, 420]), 5)
    assert times == (1, 2, 4)
    assert ends.tolist() == [20, 40, 60, 80, *range(120, 421, 20)]  # none across a border, none of the short document
    assert contexts.longest(np.array([0, 95]), 5) == ((), pytest.approx([]))
    assert contexts.evenly(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert contexts.evenly(np.arange(10), 10).tolist() == list(range(10))
    rows = contexts.before(np.arange(50), np.arange(1, 51), np.array([10, 30]), 6, 2)
    assert rows.flat.tolist() == [*range(4, 10), *range(24, 30)]
    assert rows.wanted.tolist() == [*[ELSEWHERE] * 4, 9, 10, *[ELSEWHERE] * 4, 29, 30]


# ---------------------------------------------------------------------------------------------- numbers


def reference(ask, tokens, wanted, ends, length):
    """Nats of each token of windows of one length, without padding, in float64, of the logits that ``ask`` gives."""
    cut = lambda array: np.stack([array[end - length : end] for end in ends])
    logits = np.float64(ask(jnp.asarray(cut(tokens))))
    logits -= logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.take_along_axis(log_p, cut(wanted)[..., None], -1)[..., 0]


@pytest.mark.parametrize("data", [{}, {"stride": 3}])
def test_against_one_window_at_a_time(source, data):
    settings, model, params, encoded = untrained(source, data=data)
    found = contexts.measured(model, recipe.spread(params, settings), encoded, settings, [True, True], split="test")
    tokens, wanted = contexts.stream(encoded)
    ends = range(8 * T, len(tokens) + 1, 8 * T)
    assert (found["windows"], found["of"], found["tokens"]) == (len(ends), len(ends), len(ends) * T // 2)
    assert [row["context"] for row in found["contexts"]] == [T, 2 * T, 4 * T, 8 * T]
    for member in range(2):
        own, sizes = jax.tree.map(lambda leaf, m=member: leaf[m], params), [row["context"] for row in found["contexts"]]
        ask = functools.partial(jax.jit(lambda own, x: model.apply({"params": own}, x, x >= 0)[0]), own)
        known = {length: reference(ask, tokens, wanted, ends, length) for length in sizes}
        for row in found["contexts"]:
            same = known[row["context"]][:, -T // 2 :]
            assert row["nll"]["members"][member] == pytest.approx(same.mean(), abs=1e-5)
            gap = (same - known[T][:, -T // 2 :]).mean()
            assert row["difference"]["members"][member] == pytest.approx(gap, abs=1e-5)
        ranges = found["by_place"]["ranges"]
        assert [row["up_to"] for row in ranges] == list(range(2, 65, 2))
        for row in ranges:
            there = known[8 * T][:, row["above"] : row["up_to"]].mean()
            assert row["members"][member] == pytest.approx(there, abs=1e-5)
    last = found["contexts"][-1]["difference"]
    assert last["mean"] == pytest.approx(np.mean(last["members"]))
    assert last["ci95"] == pytest.approx(12.7062 * np.std(last["members"], ddof=1) / 2**0.5, rel=1e-4)


def test_a_model_that_looks_no_further_back_gains_nothing(source):
    near = report(source, mask=f"causal & local(window={T // 2})")
    assert max(abs(row["difference"]["mean"]) for row in near["contexts"]) < 1e-6
    far = report(source)
    assert abs(far["contexts"][-1]["difference"]["mean"]) > 1e-4


def test_beyond_a_table_is_undefined(source):
    found = report(source, encoding=f"learned(max_length={2 * T})")
    assert [row["undefined"] for row in found["contexts"]] == [False, False, True, True]
    assert found["contexts"][2]["nll"] is None
    assert found["by_place"]["context"] == 2 * T
    assert [line.split()[1:] for line in contexts.table(found).split("\n")[-2:]] == [["undefined", "undefined"]] * 2


def test_few_windows_of_a_long_split(source, monkeypatch):
    monkeypatch.setattr(contexts, "READ", 17 * 15 * T)
    found = report(source)
    assert (found["windows"], found["tokens"]) == (17, 17 * T // 2)
    assert f"in 17 of {found['of']} windows" in contexts.table(found)


def test_where_there_is_none(source):
    settings, model, params, encoded = untrained(source)
    spread = recipe.spread(params, settings)
    ask = lambda split: contexts.measured(model, spread, split, settings, [True, True], split="test")
    rows = Encoded(encoded.flat[:8], np.array([0, 8]), np.zeros(1, np.int32), wanted=encoded.wanted[:8])
    assert ask(rows) is None  # rows that a source has
    short = np.array([0, 200])
    assert ask(Encoded(encoded.flat[:200], short, np.zeros(1), wanted=encoded.wanted[:200], documents=short)) is None


def test_one_member_of_a_report(source):
    settings, model, params, encoded = untrained(source)
    spread = recipe.spread(params, settings)
    found = contexts.measured(model, spread, encoded, settings, [True, False], split="test")
    assert found["contexts"][1]["nll"]["members"][1] is None
    assert found["contexts"][1]["nll"]["mean"] == found["contexts"][1]["nll"]["members"][0]
    nobody = contexts.of_member(found, 1)
    assert nobody["contexts"][1]["difference"] == {"members": [None], "mean": None, "std": None, "ci95": None}
    assert contexts.table(nobody).split("\n")[-1].split() == ["64", "-", "-"]
    alone = contexts.measured(model, spread.member(0), encoded, settings, [True], split="test")
    assert contexts.of_member(found, 0) == alone


def test_plot(source, tmp_path):
    path = tmp_path / "contexts.svg"
    contexts.plot(report(source, encoding=f"learned(max_length={2 * T})"), path, title="a title")
    drawn = re.findall(r"<!-- (.*?) -->", path.read_text())  # the texts, which are drawn as shapes
    assert drawn.count("undefined") == 2
    assert {"a title", "tokens of context", "loss by place: 2 members, mean and 95 % interval"} <= set(drawn)
    found = contexts.of_member(report(source), 0)
    contexts.plot(found, tmp_path / "one.png", title="")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------------------------------------- a run


def test_a_run_ends_in_it_and_evaluation_gives_the_same(source, tmp_path, capsys):
    folder = tmp_path / "run"
    found = loop.train(config.from_dict({**fields(source), "seeds": (0, 1)}), folder)["contexts"]
    assert found["split"] == "test"
    assert len(found["contexts"][-1]["difference"]["members"]) == 2
    assert contexts.table(found) in capsys.readouterr().out
    assert (folder / "contexts.png").read_bytes().startswith(b"\x89PNG")
    trained = evaluate.load(str(folder))
    assert trained.with_contexts(trained.load_data()) == found == files.read_json(folder / "result.json")["contexts"]
    ask = lambda *flags: command_line.run_main(entry.main, ["eval.py", f"--workdir={folder}", *flags])
    assert ask() == 0
    assert contexts.table(found) in capsys.readouterr().out
    assert ask("--split=validation") == 0
    assert "by context" not in capsys.readouterr().out
    own = store._own_result(RunDirectory(folder).read_result(), 1, store.Point(None, trained.settings, "final", None))
    assert own["contexts"] == contexts.of_member(found, 1)
    run = RunDirectory(folder)
    run.write_result({name: value for name, value in run.read_result().items() if name != "contexts"})  # one of before
    for file, name in ((run.config, "training"), (run.identity, "config")):  # nor had it budgets in tokens
        stored = json_files.read(file)
        stored[name].get("training", stored[name]).pop("tokens")
        json_files.write(file, stored)
    assert ask() == 0
    loop.train(trained.settings, folder)
    assert "by context" not in capsys.readouterr().out.partition("is finished")[2]
