"""The benchmarks. Nothing timed is asserted."""

import json

import jax
import jax.numpy as jnp
import pytest

import attention
from attention import specs as variants
from benchmarks import _runner, training
from benchmarks import normalizers as benchmark

NAMES = attention.names("normalizer")


def _counted(calls, name, **rest):
    return _runner.Case(name, lambda: calls.append(name), **rest)


def test_every_case_runs_in_every_round():
    calls = []
    cases = [_counted(calls, "peer"), _counted(calls, "one", peer="peer", target=1e9), _counted(calls, "two", target=0.0)]
    rows = _runner.measure(cases, repetitions=3, warm_up=2)
    assert calls == ["peer", "one", "two"] * 5
    assert [(row.name, row.peer) for row in rows] == [("peer", "peer"), ("one", "peer"), ("two", "peer")]
    assert rows[0].ratio == 1.0
    assert [row.missed for row in rows] == [False, False, True]
    assert all(0 < row.low <= row.median <= row.high for row in rows)


@pytest.mark.parametrize(("peer", "own", "ratio"), [((1, 2, 10), (2, 6, 40), 3.0), ((1, 2, 10), (6, 2, 40), 4.0)])
def test_a_ratio_is_the_median_of_the_rounds(monkeypatch, peer, own, ratio):
    """The medians of both rows are 2 and 6: their ratio would be 3 for both."""
    clock = [0.0]
    lasting = iter([0, 0, *(seconds for pair in zip(peer, own) for seconds in pair)])

    def run():
        clock[0] += next(lasting)

    monkeypatch.setattr(_runner.time, "perf_counter", lambda: clock[0])
    _, measured = _runner.measure([_runner.Case("peer", run), _runner.Case("own", run)], repetitions=3, warm_up=1)
    assert (measured.ratio, measured.median) == (ratio, 6.0)


@pytest.mark.parametrize(
    ("cases", "options", "message"),
    [
        (["a", "a"], {}, "names of their own, got a more than once"),
        (["a"], {"repetitions": 1}, "repetitions >= 2"),
        (["a"], {"warm_up": 0}, "warm_up >= 1"),
        ([("a", "b")], {}, "peers must be among the cases a, got b"),
    ],
)
def test_what_the_runner_refuses(cases, options, message):
    pairs = [case if isinstance(case, tuple) else (case, None) for case in cases]
    with pytest.raises(ValueError, match=message):
        _runner.measure([_runner.Case(name, int, peer) for name, peer in pairs], **options)


def test_the_normalizers_benchmark_from_end_to_end(tmp_path, capsys):
    path = tmp_path / "new" / "costs.json"
    benchmark.main(["--shape=1,2,4,4", "--only=sigmoid,qk_norm", "--repetitions=2", f"--json={path}"])
    printed = capsys.readouterr().out
    assert all(words in printed for words in ("qk_norm(form='rms_head')", "freed memory goes back", "[1, 2, 4, 4]"))
    written = json.loads(path.read_text())
    wanted = {"device", "cores", "jax", "command", "repetitions", "keep_freed_memory", "load_before"}
    assert wanted <= set(written["environment"])
    groups = [group for group in written["groups"] if group["beside"] == benchmark.PEER]
    assert [(group["masked"], group["backward"]) for group in groups] == [(m, b) for m in (False, True) for b in (False, True)]
    for group in groups:
        assert [case["name"] for case in group["cases"]] == [
            benchmark.PEER,
            *(spec for spec, _, _ in benchmark.rows(["sigmoid", "qk_norm"])),
        ]
        for case in group["cases"]:
            assert case["peer"] == benchmark.PEER
            assert case["ratio"] > 0
            assert len(case["quartiles_ms"]) == 2
            assert (case["target"] is not None) == (group["backward"] and case["name"] != benchmark.PEER)
    with pytest.raises(SystemExit):
        benchmark.main(["--only=sigmod"])
    assert "unknown normalizer 'sigmod' (nearest: 'sigmoid')" in capsys.readouterr().err


def test_every_normalizer_has_a_case():
    specs = [spec for spec, _, _ in benchmark.rows()]
    assert {variants.parse(spec).name for spec in specs} == set(NAMES)
    assert len(set(specs)) == len(specs)


@pytest.mark.parametrize("spec", [spec for spec, _, _ in benchmark.rows()])
def test_every_case_has_weights_and_gradients(spec):
    """Traced only: shapes of the weights, masked, and of the gradients of scores and parameters."""
    inputs = benchmark.make_inputs((2, 4, 6, 6))
    weights, params = benchmark.weigher(spec, inputs.scores.shape)
    found, (own, arrays) = jax.eval_shape(benchmark.gradient(weights, spec), params, inputs)
    maps = found[0] if benchmark.on_queries(spec) else found
    assert maps.shape == (2, 4 // attention.build("normalizer", spec).maps, 6, 6)
    assert arrays["scores"].shape == inputs.scores.shape
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, params)


def test_masks_of_the_benchmark():
    where = benchmark.make_inputs((2, 2, 64, 64)).where
    assert bool(where.any(-1).all())
    assert 0.75 < float(where.mean()) < 0.85


def test_the_training_benchmark_from_end_to_end(tmp_path, capsys, monkeypatch):
    """Without PyTorch ours is alone."""
    monkeypatch.setattr(training, "has_torch", lambda: False)
    path = tmp_path / "update.json"
    training.main(["--lengths=16", "--batch=4", "--repetitions=2", f"--json={path}"])
    assert "ours: first losses 2." in capsys.readouterr().out
    (group,) = json.loads(path.read_text())["groups"]
    assert [case["name"] for case in group["cases"]] == ["ours"]
    assert (group["length"], group["target"]) == (16, training.TARGET)


@pytest.mark.parametrize("lengths", ["", "0", "12", "16,", "16,x"])
def test_lengths_that_are_no_padded_ones(lengths, capsys):
    with pytest.raises(SystemExit, match="2"):
        training.main([f"--lengths={lengths}"])
    assert "--lengths wants multiples of 8 between commas" in capsys.readouterr().err


def test_losses_that_differ_are_told(capsys):
    with pytest.raises(AssertionError, match="torch eager is not the model of ours"):
        training.check({"ours": [2.0, 1.0], "torch eager": [2.0, 1.1]})
