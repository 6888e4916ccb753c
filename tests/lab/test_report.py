"""The files that a sweep ends with: complete, true to the rows, the same each time, and safe whatever a variant is called."""

import base64
import html.parser
import itertools
import json
import re
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from attention.lab import analysis, comparisons, report, results
from attention.lab.report import markdown, numbers, page, plot_style, setting_tables, tables, words
from tests.support.made_results import failed, made, pending, searched

ROOT = Path(report.__file__).parents[3]
EIGHT = ["none", "sinusoidal", "learned", "rope(base=500000)", "alibi", "t5", "randomized(inner=alibi())", "shaw"]
NINE = list(itertools.product(["none", "rope", "t5"], ["softmax", "sparsemax", "sigmoid"]))


def lossy(found, *places):
    return found._replace(rows=[failed(row) if number in places else row for number, row in enumerate(found.rows)])


CASES = {
    "eight": lambda: lossy(made(EIGHT, seeds=10, dropped=[("cope", "needs a causal mask")]), 13),
    "grid": lambda: made(NINE, by_length=True),
    "lacking": lambda: made(NINE[:-1]),
    "one_seed": lambda: made(["none", "rope"], seeds=1),
    "one_variant": lambda: made(["none"], seeds=3),
    "all_failed": lambda: lossy(made(["none", "rope"], seeds=2), 0, 1, 2, 3),
    "nothing_ran": lambda: (lambda found: found._replace(rows=[pending(row) for row in found.rows]))(made(["none", "rope"])),
    "baseline_failed": lambda: lossy(made(["none", "rope"], seeds=2), 0, 1),
    "missing": lambda: (lambda found: found._replace(rows=found.rows[:7]))(made(["none", "rope", "t5"])),
    "writing": lambda: made(["none", "rope"], task="seq2seq"),
    "tokens": lambda: made(["none", "rope", "t5"], task="lm"),
    "loss": lambda: made(["none", "rope", "t5"], metric="nll"),
    "search": lambda: made(["none", "rope", "t5"], search=searched(4, halvings=1)),
}


@pytest.fixture(scope="module", params=CASES)
def written(request, tmp_path_factory):
    found = CASES[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    results.write(folder / "results.parquet", found)
    return request.param, folder, found, report.write(folder)


class Page(html.parser.HTMLParser):
    """Checks that every element is closed in turn, and collects what a test asks for."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.ids, self.text, self.headings = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in ("img", "input", "link", "meta", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def parsed(folder):
    found = Page()
    found.feed((folder / "report.html").read_text(encoding="utf-8"))
    found.close()
    assert found.open == []
    return found


def test_the_page_is_whole(written):
    case, folder, found, _ = written
    html = parsed(folder)
    assert len(html.ids) == len(set(html.ids))
    targets = {value[1:] for tag, name, value in html.attributes if (tag, name) == ("a", "href") and value[0] == "#"}
    assert targets <= set(html.ids)
    wanted = {"Verdicts", "Costs", "Failures", "How the numbers were computed", "Environment", "Reproduce"}
    wanted |= {"Two axes", "Lengths"} if case == "grid" else {"Two axes"} if case == "lacking" else set()
    wanted |= {"Search"} if found.sweep["search"] else set()
    wanted |= {"Training"} if case != "nothing_ran" else set()
    assert wanted <= set(html.headings)
    assert ("Two axes" in html.headings) == (found.sweep["axes"] == 2)
    text = " ".join("".join(html.text).split())
    for name in found.sweep["variants"]:
        assert name in text


def test_the_page_needs_nothing_else(written):
    _, folder, _, _ = written
    for tag, name, value in parsed(folder).attributes:
        if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            cited = (tag, name) == ("a", "href") and re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", value)
            assert cited or value.startswith(("#", "data:")), (tag, name, value)
    text = re.sub('<a href="[^"]+">', "", (folder / "report.html").read_text(encoding="utf-8"))
    assert not re.search(r"https?://", text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_figures_are_the_pages_and_stand_alone(written):
    case, folder, _, _ = written
    names = {path.stem for path in (folder / "figures").glob("*")}
    expected = {"nothing_ran": set(), "all_failed": {"learning", "losses"}, "one_variant": {"learning", "losses"}}
    usual = {"differences", "learning", "losses", "costs"} - ({"differences"} if case == "baseline_failed" else set())
    usual -= {"costs"} if case == "baseline_failed" else set()  # one variant is left, which has one cost
    more = {"grid": {"grid", "lengths"}, "lacking": {"grid"}, "search": {"search_1", "search_2"}}
    assert names == expected.get(case, usual | more.get(case, set()))
    attributes = parsed(folder).attributes
    images = [value.split(",", 1) for tag, name, value in attributes if (tag, name) == ("img", "src")]
    assert {head for head, _ in images} <= {"data:image/svg+xml;base64"}
    shown = {base64.b64decode(data) for _, data in images}
    assert shown == {plot_style.by_night(path.read_bytes()) for path in (folder / "figures").glob("*.svg")}
    assert all(value for tag, name, value in attributes if (tag, name) == ("img", "alt"))
    text = (folder / "report.md").read_text(encoding="utf-8")
    for name in names:
        xml.etree.ElementTree.parse(folder / "figures" / f"{name}.svg")
        with PIL.Image.open(folder / "figures" / f"{name}.png") as picture:
            assert [round(dots) for dots in picture.info["dpi"]] == [300, 300]
            assert picture.width in (round(300 * plot_style.COLUMN), round(300 * plot_style.WIDTH))
        pdf = (folder / "figures" / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        assert b"/FontFile2" in pdf  # TrueType, embedded
        assert b"/Type3" not in pdf
        assert not re.search(rb"/(CreationDate|Producer|Creator)", pdf)
        assert f"(figures/{name}.svg)" in text


@pytest.mark.parametrize("written", ["missing", "search", "all_failed"], indirect=True)
def test_two_writings_are_the_same(written):
    _, folder, _, printed = written
    files = lambda: {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    before = files()
    assert report.write(folder) == printed
    assert files() == before


def test_what_is_printed(written):
    case, folder, found, printed = written
    assert printed.endswith(f"report: {folder / 'report.html'}")
    assert re.search("Smallest attainable p|no lower bound on p|No test:", printed)
    for name in found.sweep["variants"]:
        assert re.search(rf"^{re.escape(name)}  ", printed, re.M)
    if case == "one_seed":
        assert "One seed: no verdict." in printed
    if case == "eight":
        assert "0.00195; 0.0137 after correction for 7 comparisons" in printed
        assert "Members without a score: “sinusoidal” 1 of 10." in printed


def markdown_rows(text, heading):
    """The rows of the first table after a heading, as lists of cells."""
    lines = text.split(f"\n## {heading}\n", 1)[1].splitlines()
    lines = list(itertools.takewhile(lambda line: line.startswith("|"), itertools.dropwhile(lambda x: x[:1] != "|", lines)))
    cells = [[cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return cells[0], cells[2:]


def test_every_number_of_the_verdicts_follows_from_the_rows(written):
    """Recomputed from the file itself: the means by NumPy, the tests by the family."""
    _, folder, _, _ = written
    found = results.read(folder / "results.parquet")
    sweep = found.sweep
    factor, digits = (100, 2) if sweep["metric"] in sweep["shares"] else (1, 4)
    by_name = {name: dict.fromkeys(sweep["seeds"]) for name in sweep["variants"]}
    for row in found.rows:
        if row["phase"] == "final":
            by_name[row["variant"]][row["seed"]] = results.score(row, sweep["metric"])
    compared = {}
    if any(value is not None for value in by_name[sweep["baseline"]].values()):
        compared = comparisons.family(sweep["baseline"], by_name, higher_is_better=sweep["higher_is_better"])
    heads, rows = markdown_rows((folder / "report.md").read_text(encoding="utf-8"), "Verdicts")
    assert sorted(row[0] for row in rows) == sorted(sweep["variants"])
    shown = lambda value, sign="": "-" if value is None else f"{factor * value:{sign}.{digits}f}"
    for row in rows:
        cell = dict(zip(heads, row))
        values = [value for value in by_name[row[0]].values() if value is not None]
        assert cell["members"] == f"{len(values)} of {len(sweep['seeds'])}"
        assert row[heads.index("members") + 1] == shown(np.mean(values) if values else None)
        assert cell["sd"] == shown(np.std(values, ddof=1) if len(values) > 1 else None)
        c = compared.get(row[0])
        assert cell["difference"] == shown(c and c.difference, "+")
        interval = "-" if c is None or c.low is None else f"[{shown(c.low, '+')}, {shown(c.high, '+')}]"
        assert cell["95 % interval"] == interval
        assert cell["detectable"] == shown(c and c.detectable)
        needed = None if c is None else c.seeds_needed
        assert cell["seeds needed"] == ("-" if needed is None else "over 1,000" if needed > 1000 else f"{needed:,}")
        undecided = c and c.low is not None and c.verdict not in ("better", "worse")
        ends = (c.excluded_below, c.excluded_above) if undecided else None
        assert cell["not excluded"] == ("-" if ends is None else f"[{shown(ends[0], '+')}, {shown(ends[1], '+')}]")
        assert cell["p (corrected)"] == numbers.p_value(c and c.adjusted)
        verdict = c.verdict if c is not None else "baseline" if row[0] == sweep["baseline"] else "no pair"
        assert cell["verdict"].lstrip("▲▼○ ") == verdict


def test_commands_score_a_member_and_train_it_again(written):
    _, folder, found, _ = written
    html = "".join(parsed(folder).text)
    text = (folder / "report.md").read_text(encoding="utf-8")
    for row in found.rows:
        if row["phase"] == "final" and row["status"] == "finished":
            assert f"python eval.py --workdir={folder / row['run']}" in text
            again = folder / "again" / Path(row["run"]).name
            command = f"mkdir -p {again} && cp {folder / row['run']}/config.json {again} && python train.py --workdir={again}"
            assert command in text
            assert command in html
    assert found.sweep["command"] in text


# Names that would be markup

HOSTILE = '<script>alert("1")</script> & | ` $x$ {y} %_^~#* [z](w) \\'


def test_a_hostile_name_is_text(tmp_path):
    found = made(["none", HOSTILE], seeds=3, dropped=[("</td><img src=x onerror=alert(1)>", "<b>why</b>")])
    found = lossy(found, 4)
    found.rows[4]["reason"] = "<i>no</i>"
    found.sweep["name"] = "</title><script>alert(2)</script>"
    results.write(tmp_path / "results.parquet", found)
    report.write(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<script") == 1
    assert "<img src=x" not in text
    assert "<i>" not in text
    html = parsed(tmp_path)
    assert HOSTILE in "".join(html.text)
    assert not {name for _, name, _ in html.attributes if name.startswith("on")}
    lines = (tmp_path / "report.md").read_text(encoding="utf-8")
    outside = re.sub(r"```sh\n.*?```", "", lines, flags=re.S)
    assert "<script" not in outside
    _, rows = markdown_rows(lines, "Verdicts")
    assert {len(row) for row in rows} == {12}
    for path in (tmp_path / "figures").glob("*.svg"):
        xml.etree.ElementTree.parse(path)


def test_escapes():
    assert markdown.escaped("a|b\nc*d_e") == r"a\|b c\*d\_e"
    assert markdown.escaped("<b> & `x`") == r"&lt;b&gt; &amp; \`x\`"


# Words and numbers


def test_warnings(tmp_path):
    found = made(["none", "rope"], seeds=3)
    for row in found.rows[:3]:
        row |= {"test": {**row["test"], "accuracy": 0.1}, "split_hash": "other"}
    for row in found.rows:
        row |= {"validation": row["test"], "environment": json.dumps({"git_dirty": row["seed"] == 2})}
    results.write(tmp_path / "results.parquet", found)
    said = report.write(tmp_path)
    assert "not all tested on the same data" in said
    assert "The code had uncommitted changes" in said
    assert "No better than the best of these: “none”." in said
    found = found._replace(rows=[{**row, "split": "validation", "test": None} for row in found.rows])
    results.write(tmp_path / "results.parquet", found)
    said = report.write(tmp_path)
    assert "There is no labelled test split." in said
    assert "accuracy, % on validation" in said


def test_figures_of_before_are_removed(tmp_path):
    results.write(tmp_path / "results.parquet", made(["none", "rope"], by_length=True))
    report.write(tmp_path)
    (tmp_path / "figures" / "mine.svg").write_text("kept")
    results.write(tmp_path / "results.parquet", made(["none", "rope"]))
    report.write(tmp_path)
    names = {path.name for path in (tmp_path / "figures").glob("*")}
    assert not {"lengths.svg", "lengths.pdf", "lengths.png"} & names
    assert not list((tmp_path / "tables").glob("lengths.*"))
    assert "mine.svg" in names


def test_without_results_there_is_no_report(tmp_path):
    with pytest.raises(ValueError, match=r"no results of a sweep at .*: the folder has no results\.parquet"):
        report.write(tmp_path)


def test_names_with_commas_are_told_apart(tmp_path):
    results.write(tmp_path / "results.parquet", lossy(made(NINE, seeds=3), 3))
    said = report.write(tmp_path)
    lines = [line for line in said.splitlines() if re.match("(Better|Worse|Not)", line)]
    assert sorted(re.findall("“([^”]+)”", "".join(lines))) == sorted(", ".join(cell) for cell in NINE[1:])
    assert "Members without a score: “none, sparsemax” 1 of 3." in said


def test_numbers():
    accuracy, nll = numbers.Metric("accuracy", True), numbers.Metric("nll", False)
    assert (accuracy.value(0.843), accuracy.difference(-0.0121), accuracy.title) == ("84.30", "-1.21", "accuracy, %")
    assert (nll.value(0.843), nll.difference(0.0121), nll.title, nll.value(None)) == ("0.8430", "+0.0121", "nll", "-")
    assert [numbers.p_value(p) for p in (None, 0.0, 0.00009, 0.0137, 0.5, 1.0)] == [
        "-",
        "<0.0001",
        "<0.0001",
        "0.0137",
        "0.50",
        "1.00",
    ]
    assert [numbers.memory(x) for x in (None, 0, 512, 171_974, 3 * 2**30)] == ["-", "0.00 B", "512 B", "168 KiB", "3.00 GiB"]
    assert [numbers.operations(x) for x in (12, 2_280_935, 3e12)] == ["12.0", "2.28M", "3.00T"]
    assert [numbers.time(x) for x in (0.34, 9.94, 48, 185)] == ["0.34 s", "9.9 s", "48 s", "3 min 05 s"]
    assert [numbers.milliseconds(x) for x in (0.00671, 1.2, None)] == ["6.71", "1,200", "-"]


@pytest.mark.parametrize("name", ["rope", "t5(buckets=32, max_distance=128)", "none + rope, softmax & (,=", HOSTILE])
def test_pieces_of_a_name_make_the_name(name):
    assert "".join(page.pieces(name)) == name
    assert all(piece[-1] in ",(=+&._" for piece in page.pieces(name)[:-1])


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("rope", ["rope"]),
        ("t5(buckets=32, max_distance=128)", ["t5(buckets=32,", "max_distance=128)"]),
        ("a" * 50, ["a" * 20, "a" * 20, "a" * 10]),
        ("a " * 50, ["a a a a a a a a a a"] * 2 + ["a a a a a a a a a a…"]),
    ],
)
def test_names_are_wrapped(name, lines):
    assert numbers.wrapped(name, 20).split("\n") == lines


def test_language_models_have_their_metrics_in_words():
    found = made(["none", "rope"], task="lm")
    assert [name for name, _ in words.explained(found)][-5:] == [
        "nll",
        "accuracy",
        "bits per byte",
        "perplexity",
        "longer context",
    ]
    heads = [head.text for head in tables.metric_table(found, analysis.standings(found)).heads]
    assert heads[1:5] == ["accuracy, %", "bits per byte", "perplexity", "longer context"]  # nobody has an exact match
    assert dict(setting_tables.data_facts(found))["Test split"] == "sha256 abababababab"
    for metric in ("bits_per_byte", "longer_context", "perplexity"):
        other = results.asked(found, metric=metric)
        assert not other.sweep["higher_is_better"]
        gaps = {one.name: one.comparison for one in analysis.standings(other)}
        assert gaps["rope"].difference < 0  # rope is better in all that is made
        assert gaps["rope"].verdict in ("better", "not distinguishable")
    undefined = results.asked(found, metric="exact_match")
    assert {one.reason for one in analysis.failures(undefined)} == {"its exact match is undefined"}
