"""The pages of the catalogue: every variant has all of its section, and what is made of numbers is what the library gives."""

import re
import xml.etree.ElementTree

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from docs.figures import _encodings as maps
from docs.figures import _encodings_page, _normalizers_page
from docs.figures import _normalizers as weights
from tests.support.encoding_rows import ROWS

PAGES = {"normalizer": _normalizers_page, "encoding": _encodings_page}
NAMES = {kind: attention.names(kind) for kind in PAGES}
LABELS = {
    "normalizer": ("**When:**", "**Source:**"),
    "encoding": ("**Parameters:**", "**Claim:**", "**Traps:**", "**Source:**"),
}
FIGURES = {kind: page.PAGE.parent / "figures" / page.PAGE.stem for kind, page in PAGES.items()}
NUMBER = re.compile(r"-?\d+\.\d+")


def _text(kind):
    return PAGES[kind].PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", PAGES)
def test_the_page_has_all_of_each_variant(kind):
    sections = {part.split("\n", 1)[0]: part for part in _text(kind).split("\n### ")[1:]}
    assert set(sections) == set(NAMES[kind])
    for name, part in sections.items():
        for wanted in ("```math", f"figures/{kind}s/{name}.svg", f"<!-- facts {name} -->", *LABELS[kind]):
            assert wanted in part, f"the section of {name} lacks {wanted}"


@pytest.mark.parametrize("kind", ["normalizer", pytest.param("encoding", marks=pytest.mark.slow)])
def test_the_numbers_of_the_page_are_the_scripts(kind):
    page, fresh = _text(kind), PAGES[kind].refreshed(_text(kind))
    advice = f"run python -m docs.figures.{kind}s"
    assert NUMBER.sub("", fresh) == NUMBER.sub("", page), advice
    for new, old in zip(NUMBER.findall(fresh), NUMBER.findall(page), strict=True):  # to one unit of the last digit
        assert abs(float(new) - float(old)) < 1.01 * 10.0 ** -len(old.partition(".")[2]), advice


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in PAGES for name in (*NAMES[kind], "families")])
def test_every_figure_is_there(kind, name):
    """Drawn anew when this fails: python -m docs.figures.normalizers, or encodings."""
    root = xml.etree.ElementTree.parse(FIGURES[kind] / f"{name}.svg").getroot()
    assert root.tag.endswith("svg")


@pytest.mark.parametrize("kind", PAGES)
def test_figures_stay_small(kind):
    assert sum(path.stat().st_size for path in FIGURES[kind].iterdir()) < 1.5e6


@pytest.mark.parametrize("kind", PAGES)
def test_links_within_the_page_lead_somewhere(kind):
    text = _text(kind)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors


@pytest.mark.parametrize(
    ("kind", "names"), [("normalizer", ("sparsemax", "stick_breaking")), ("encoding", ("alibi", "randomized"))]
)
def test_figures_are_reproducible(kind, names, tmp_path):
    pytest.importorskip("matplotlib")
    from docs.figures import encodings, normalizers

    draw = {"normalizer": normalizers, "encoding": encodings}[kind].draw
    for name in names:
        first, second = (draw(name, tmp_path / folder / f"{kind}s").read_bytes() for folder in ("a", "b"))
        assert first == second
        assert b"<dc:date>" not in first


def test_the_facts_of_encodings_agree_with_their_table():
    """Found by the script with default options, and by the suite with its own."""
    for name in NAMES["encoding"]:
        found = _encodings_page.tried(name)
        if ROWS[name].mask == "full":
            assert found.blind != ROWS[name].directed, name
        assert (found.goes_by in ("nothing", "the order of the array")) != (ROWS[name].by_position and ROWS[name].ordered), name
        assert found.random == (name in ("randomized", "shift", "cape")), name
    assert _encodings_page.tried("fire").goes_by == "positions"
    assert _encodings_page.tried("every").enters == ["rotation", "some layers"]
    assert _encodings_page.tried("shaw").enters == ["content", "values"]


def test_a_wrong_number_of_parameters_does_not_get_onto_the_page(monkeypatch):
    monkeypatch.setitem(_encodings_page.OWN, "tener", ("D", lambda dims: dims.model_dim))
    with pytest.raises(AssertionError, match=r"tener has \[512, 120\] parameters per layer"):
        _encodings_page.facts("tener")


def test_the_numbers_of_the_encodings_figures_are_the_formulas():
    assert set(maps.PANELS) == set(NAMES["encoding"])
    i, j = np.arange(maps.T)[:, None], np.arange(maps.T)[None]
    np.testing.assert_allclose(maps.PANELS["alibi"]()[0].values, -np.abs(i - j) / 4, atol=1e-6)
    slow = 10000.0 ** (-np.arange(0, maps.D, 2) / maps.D)
    np.testing.assert_allclose(maps.PANELS["sinusoidal"]()[1].values, np.cos((i - j)[..., None] * slow).sum(-1), atol=1e-4)
    slow = 10000.0 ** (-np.arange(0, maps.H, 2) / maps.H)
    equal = 2 * np.cos((i - j)[..., None] * slow).sum(-1) / maps.H**0.5
    np.testing.assert_allclose(maps.PANELS["rope"]()[1].values, equal, atol=1e-5)
    np.testing.assert_allclose(maps.PANELS["every"]()[0].values, equal, atol=1e-5)
    bare = [layer for layer, change in enumerate(maps.PANELS["every"]()[2].curves["every"]) if change == 0]
    assert bare == [3, 7]
    forgotten = maps.PANELS["fox"]()[1].values
    assert np.isnan(forgotten[i < j]).all()
    np.testing.assert_allclose(forgotten[i >= j], (forgotten[1, 0] * (i - j))[i >= j], rtol=1e-4)
    repeated = maps.PANELS["sin_period_d"]()[1].values
    np.testing.assert_allclose(repeated[:, : maps.D // 2], repeated[:, maps.D // 2 :], atol=1e-3)
    for positions in maps.PANELS["randomized"]()[0].curves.values():
        assert (np.diff(positions) > 0).all()
        assert positions[-1] < 2048


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


def test_the_numbers_of_the_normalizers_figures_are_the_librarys():
    assert {*weights.ROWS} | {*weights.MATRICES} == set(NAMES["normalizer"])
    for name in NAMES["normalizer"]:
        found, record = weights.numbers(name), attention.build("normalizer", name)
        if name in GOLDENS:
            np.testing.assert_allclose(found.weights, GOLDENS[name], atol=2e-7, err_msg=name)
        if record.row_sum == "one":
            np.testing.assert_allclose(found.weights.sum(-1), 1.0, atol=1e-6, err_msg=name)
        if record.shift_invariant and name not in ("qk_norm", "slot", "double_norm", "sinkhorn"):
            assert abs(found.gradient.sum()) < 1e-6, name
        full = name in ("budget", "laplace")  # the weight is at its bound of 1
        assert (np.abs(found.gradient).max() < 1e-3) == full, name
    matrix = jnp.array(weights.MATRIX)
    np.testing.assert_array_equal(weights.numbers("sinkhorn").weights, attention.sinkhorn(matrix))
    lower = jnp.tril(jnp.ones((5, 5), bool), -1)
    np.testing.assert_allclose(weights.numbers("stick_breaking").weights, attention.stick_breaking(matrix, lower), atol=1e-7)
