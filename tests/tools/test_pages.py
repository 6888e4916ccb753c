"""Generated pages: they are what the tool writes, and the tool says what is missing."""

import json
import re
import xml.etree.ElementTree

import numpy as np
import pytest

import attention
from tests.support import rows
from tools import markdown, pages, sections
from tools.kinds import encoding, encoding_maps, encoding_trials, normalizer, normalizer_weights
from tools.kinds.encoding_maps import T

KINDS = pages.kinds()
SLOW = ("encoding", "normalizer")
every_page = pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in KINDS])
DRAWN = [kind for kind in KINDS if pages.pictures(kind)]


@pytest.mark.skipif(bool(pages.unpinned()), reason="pages are the same on the pinned versions alone")
@every_page
def test_pages_are_what_the_tool_writes(kind):
    old = (pages.DOCS / f"{kind}s.md").read_text(encoding="utf-8")
    assert pages.alike(pages.page(kind), old), f"run python -m tools.pages --only={kind}"


def test_the_readme_is_what_the_tool_writes():
    text = pages.README.read_text(encoding="utf-8")
    assert pages.readme(text) == text, "run python -m tools.pages"


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_a_section_of_each_variant(kind):
    text = (pages.DOCS / f"{kind}s.md").read_text(encoding="utf-8")
    found = {part.split("\n", 1)[0]: part for part in text.split("\n### ")[1:]}
    assert set(found) == set(attention.names(kind))
    for name, part in found.items():
        assert "**Source:**" in part
        assert f"<details><summary>Options: <code>{name}" in part


@pytest.mark.parametrize("kind", KINDS)
def test_links_within_the_page_lead_somewhere(kind):
    text = (pages.DOCS / f"{kind}s.md").read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors
    for path in re.findall(r"\]\((?!#|https?:)([^)#]*)", text):
        assert (pages.DOCS / path).exists(), path


@pytest.mark.parametrize("kind", DRAWN)
def test_every_picture_is_there_and_no_other(kind):
    wanted = set(pages.pictures(kind))
    assert wanted == set((pages.DOCS / "figures" / f"{kind}s").iterdir())
    for path in wanted:
        assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("svg")
    assert sum(path.stat().st_size for path in wanted) < 1.5e6


@pytest.mark.parametrize(("kind", "name"), [("normalizer", "sparsemax"), ("encoding", "alibi"), ("mask", "local")])
def test_pictures_are_reproducible(kind, name):
    path = pages.DOCS / "figures" / f"{kind}s" / f"{name}.svg"
    first, second = (pages.pictures(kind)[path]() for _ in range(2))
    assert first == second
    assert "<dc:date>" not in first
    assert pages.unpinned() or pages.alike(first, path.read_text(encoding="utf-8"))


def test_alike_is_to_the_last_digit():
    assert pages.alike("a 1.23 b", "a 1.24 b")
    assert not pages.alike("a 1.23 b", "a 1.25 b")
    assert not pages.alike("a 1.23 b", "a 1.23 c")
    assert not pages.alike("12", "13")
    assert pages.alike("12", "12.001")
    assert pages.alike('href="data:image/png;base64,AAAA" 2', 'href="data:image/png;base64,BB" 2')


def test_check_finds_a_difference(tmp_path, monkeypatch, capsys):
    for name in ("DOCS", "PARTS", "README", "ROOT"):
        path = getattr(pages, name)
        monkeypatch.setattr(pages, name, tmp_path / path.relative_to(pages.ROOT))
    (tmp_path / "docs" / "parts").mkdir(parents=True)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "docs" / "parts" / "decoders.md").write_text("# Decoders\n\n## Each\n\n<!-- sections -->\n")
    assert pages.main(["--only=decoder"]) == 0
    assert pages.main(["--only=decoder", "--check"]) == 0
    (tmp_path / "docs" / "decoders.md").write_text("something else")
    assert pages.main(["--only=decoder", "--check"]) == 1
    assert "differs docs/decoders.md" in capsys.readouterr().out
    assert (tmp_path / "docs" / "decoders.md").read_text() == "something else"
    (tmp_path / "docs" / "parts" / "decoders.md").write_text("# Decoders\n\n<!-- table overwiev -->\n")
    with pytest.raises(ValueError, match=r"no table 'overwiev' \(nearest: 'overview'\)"):
        pages.page("decoder")


def test_pages_are_made_on_pinned_versions_alone(monkeypatch, capsys):
    monkeypatch.setattr(pages.importlib.metadata, "version", lambda name: "0.0.1")
    assert pages.main(["--check"]) == 2
    assert "pinned versions only; here jax 0.0.1 (pinned" in capsys.readouterr().err


def _documented(monkeypatch, text):
    module = sections.specs.module("score", "dot")
    monkeypatch.setattr(module, "__doc__", text)
    sections.section.cache_clear()


@pytest.fixture
def fresh_sections():
    yield
    sections.section.cache_clear()


@pytest.mark.usefixtures("fresh_sections")
class TestDocstrings:
    """What a docstring has to say."""

    def test_is_read_by_labels(self, monkeypatch):
        _documented(
            monkeypatch, "A line.\n\n```math\nq\n```\n\nProse.\n\nWhen: now,\nor never.\nSource: X 2001 (arXiv 2101.00001).\n"
        )
        found = sections.section("score", "dot")
        assert (found.summary, found.formula, found.prose, found.year) == ("A line.", "q", "Prose.", 2001)
        assert found.labels == {"When": "now, or never.", "Source": "X 2001 (arXiv 2101.00001)."}
        text = sections.rendered(found, ["made"])
        assert "**When:** now, or never.\\\n**Source:** X 2001 ([arXiv 2101.00001](https://arxiv.org/abs/2101.00001))." in text

    @pytest.mark.parametrize("text", ["A line.", "A line.\n\nSource: X.\nSource: Y.\n"])
    def test_needs_a_source_and_every_label_once(self, monkeypatch, text):
        _documented(monkeypatch, text)
        with pytest.raises(ValueError, match="score dot: every label once, with Source among them"):
            sections.section("score", "dot")

    def test_is_refused_while_something_is_left_to_do(self, monkeypatch):
        _documented(monkeypatch, "TODO: a line.\n\nSource: TODO.\n")
        with pytest.raises(ValueError, match="score dot: 2 TODO are left in"):
            sections.section("score", "dot")

    def test_is_refused_for_a_family_without_a_heading(self, monkeypatch):
        _documented(monkeypatch, "A line.\n\nSource: X.\nFamily: Prodcts\n")
        with pytest.raises(ValueError, match=r"score dot: its family 'Prodcts' is no heading .* \(nearest: 'Products'\)"):
            pages.page("score")


def test_nothing_is_left_to_do():
    for kind in attention.specs.KINDS:
        for name in attention.names(kind):
            module = attention.specs.module(kind, name)
            assert "TODO" not in f"{module.__doc__}{module.build.__doc__}", (kind, name)


def test_a_cost_that_was_not_measured_is_said_to_be(monkeypatch, tmp_path):
    for kind in ("encoding", "mask", "mixer"):
        text = json.dumps({"groups": [{"length": 1, "title": "", "cases": [], "spec": "x"}]})
        (tmp_path / f"{kind}s.json").write_text(text)
    monkeypatch.setattr(markdown, "RESULTS", tmp_path)
    monkeypatch.setattr(encoding.rows, "evidence", lambda kind, name: None)
    markdown.results.cache_clear()
    try:
        made = encoding.generated(sections.section("encoding", "tisa"))
    finally:
        markdown.results.cache_clear()
    assert made[1].endswith("Cost: not measured.")
    assert "parameters 15 N = 120 per layer" in made[1]


def test_a_variant_without_a_picture_of_its_own_has_that_of_its_hooks(monkeypatch):
    monkeypatch.setattr(encoding.rows, "picture", lambda kind, name: None)
    panels = encoding_maps.default("tisa")
    np.testing.assert_allclose(panels[0].values, encoding_maps.added("tisa")[0])
    assert normalizer.picture("taylor").label == "taylor"
    with pytest.raises(ValueError, match="nothing to show by default; give its row's evidence a picture"):
        encoding_maps.default("none")


@pytest.mark.slow
def test_the_facts_of_encodings_agree_with_their_evidence():
    """Found by trying with default options, and by the suite with its own."""
    for name, row in rows.rows("encoding").items():
        found, evidence = encoding_trials.tried(name), row.evidence
        if evidence.mask == "full":
            assert found.blind != evidence.directed, name
        by_array = found.goes_by in ("nothing", "the order of the array")
        assert by_array != (evidence.by_position and evidence.ordered), name
        assert found.random == (attention.build("encoding", name).positions is not None), name
    assert encoding_trials.tried("fire").goes_by == "positions"
    assert encoding_trials.tried("every").enters == ["rotation", "some layers"]
    assert encoding_trials.tried("shaw").enters == ["content", "values"]


def test_the_numbers_of_pictures_of_encodings_are_the_formulas():
    D, H = encoding_maps.D, encoding_maps.H
    panels = {
        name: encoding.panels(name) for name in ("alibi", "sinusoidal", "rope", "every", "fox", "sin_period_d", "randomized")
    }
    i, j = np.arange(T)[:, None], np.arange(T)[None]
    np.testing.assert_allclose(panels["alibi"][0].values, -np.abs(i - j) / 4, atol=1e-6)
    slow = 10000.0 ** (-np.arange(0, D, 2) / D)
    np.testing.assert_allclose(panels["sinusoidal"][1].values, np.cos((i - j)[..., None] * slow).sum(-1), atol=1e-4)
    slow = 10000.0 ** (-np.arange(0, H, 2) / H)
    equal = 2 * np.cos((i - j)[..., None] * slow).sum(-1) / H**0.5
    np.testing.assert_allclose(panels["rope"][1].values, equal, atol=1e-5)
    np.testing.assert_allclose(panels["every"][0].values, equal, atol=1e-5)
    bare = [layer for layer, change in enumerate(panels["every"][2].curves["every"]) if change == 0]
    assert bare == [3, 7]
    forgotten = panels["fox"][1].values
    assert np.isnan(forgotten[i < j]).all()
    np.testing.assert_allclose(forgotten[i >= j], (forgotten[1, 0] * (i - j))[i >= j], rtol=1e-4)
    repeated = panels["sin_period_d"][1].values
    np.testing.assert_allclose(repeated[:, : D // 2], repeated[:, D // 2 :], atol=1e-3)
    for positions in panels["randomized"][0].curves.values():
        assert (np.diff(positions) > 0).all()
        assert positions[-1] < 2048


@pytest.mark.slow
def test_the_numbers_of_pictures_of_normalizers_are_what_is_claimed():
    """Rows sum as claimed, and a gradient sums to zero where a shift of all scores changes nothing."""
    for name in attention.names("normalizer"):
        picture, record = normalizer.picture(name), attention.build("normalizer", name)
        found, claims = normalizer_weights.numbers(picture), record.claims
        if claims.row_sum == "one":
            np.testing.assert_allclose(found.weights.sum(-1), 1.0, atol=1e-6, err_msg=name)
        if claims.shift_invariant and not picture.coupled and record.qk is None:
            assert abs(found.gradient.sum()) < 1e-6, name
    np.testing.assert_allclose(
        normalizer_weights.numbers(normalizer.picture("sparsemax")).weights, [0, 0.6, 0, 0, 0.4], atol=2e-7
    )
