"""The benchmarks, and the page and figures that are made of their numbers and the library's. Nothing timed is asserted."""

import json
import re
import xml.etree.ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import variants
from benchmarks import _runner
from benchmarks import normalizers as benchmark
from docs.figures import _normalizers as data
from docs.figures import _page

NAMES = attention.names("normalizer")
NUMBER = re.compile(r"-?\d+\.\d+")


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


def test_the_page_has_all_of_each_normalizer():
    page = _page.PAGE.read_text(encoding="utf-8")
    sections = {part.split("\n", 1)[0]: part for part in page.split("\n### ")[1:]}
    assert set(sections) == set(NAMES)
    for name, part in sections.items():
        for wanted in ("```math", f"figures/normalizers/{name}.svg", f"<!-- facts {name} -->", "**When:**", "**Source:**"):
            assert wanted in part, f"the section of {name} lacks {wanted}"
    fresh = _page.refreshed(page)
    assert NUMBER.sub("", fresh) == NUMBER.sub("", page), "run python -m docs.figures.normalizers"
    for new, old in zip(NUMBER.findall(fresh), NUMBER.findall(page), strict=True):  # to one unit of the last digit
        assert abs(float(new) - float(old)) < 1.01 * 10.0 ** -len(old.partition(".")[2]), (
            "run python -m docs.figures.normalizers"
        )


@pytest.mark.parametrize("name", [*NAMES, "families"])
def test_every_figure_is_there(name):
    """Drawn anew when this fails: python -m docs.figures.normalizers."""
    root = xml.etree.ElementTree.parse(_page.PAGE.parent / "figures" / "normalizers" / f"{name}.svg").getroot()
    assert root.tag.endswith("svg")


# Published or exact, for the options that the figures have.
GOLDENS = {
    "softmax": np.exp([2.0, 4.0, 1.0, -2.0, 3.6]) / np.exp([2.0, 4.0, 1.0, -2.0, 3.6]).sum(),
    "sparsemax": [0.0, 0.6, 0.0, 0.0, 0.4],
    "entmax15": [0.05541910, 0.54083171, 0.0, 0.0, 0.40374919],
    "entmax": [0.11304829, 0.47424126, 0.04280303, 0.00004065, 0.36986677],
    "normmax": [0.0, 4 / 7, 0.0, 0.0, 3 / 7],
    "budget": [0.1, 1.0, 0.0, 0.0, 0.9],
    "softmax1": [0.14177222, 0.38537684, 0.08598920, 0.01918678, 0.31551987],
    "sigmoid": [0.35218743, 0.59641800, 0.24797569, 0.06853348, 0.54749688],
    "taylor": [0.17799929, 0.35599858, 0.11569954, 0.03559986, 0.31470274],
    "softpick": [0.11901249, 0.44252199, 0.04493206, 0.0, 0.34975120],
    "pointwise": [0.2, 0.4, 0.1, 0.0, 0.36],
    "rela": [1.0, 2.0, 0.5, 0.0, 1.8],
    "laplace": [0.85043001, 0.99999771, 0.23142122, 0.0, 0.99994651],
    "clipped": [0.12406042, 0.38877964, 0.06344237, 0.0, 0.31286777],
    "sum_norm": [0.23255814, 0.46511628, 0.11627907, -0.23255814, 0.41860465],
}


def test_the_numbers_of_the_figures_are_the_librarys():
    assert {*data.ROWS} | {*data.MATRICES} == set(NAMES)
    for name in NAMES:
        found, record = data.numbers(name), attention.build("normalizer", name)
        if name in GOLDENS:
            np.testing.assert_allclose(found.weights, GOLDENS[name], atol=2e-7, err_msg=name)
        if record.row_sum == "one":
            np.testing.assert_allclose(found.weights.sum(-1), 1.0, atol=1e-6, err_msg=name)
        if record.shift_invariant and name not in ("qk_norm", "slot", "double_norm", "sinkhorn"):
            assert abs(found.gradient.sum()) < 1e-6, name
        full = name in ("budget", "laplace")  # the weight is at its bound of 1
        assert (np.abs(found.gradient).max() < 1e-3) == full, name
    matrix = jnp.array(data.MATRIX)
    np.testing.assert_array_equal(data.numbers("sinkhorn").weights, attention.sinkhorn(matrix))
    lower = jnp.tril(jnp.ones((5, 5), bool), -1)
    np.testing.assert_allclose(data.numbers("stick_breaking").weights, attention.stick_breaking(matrix, lower), atol=1e-7)


def test_figures_are_reproducible(tmp_path):
    pytest.importorskip("matplotlib")
    from docs.figures import normalizers

    for name in ("sparsemax", "stick_breaking"):
        first, second = (normalizers.draw(name, tmp_path / folder).read_bytes() for folder in ("a", "b"))
        assert first == second
        assert b"<dc:date>" not in first
