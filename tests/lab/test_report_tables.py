"""The tables of a report as files: true to the rows in CSV, and LaTeX that compiles whatever a variant is called."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import markupsafe
import pytest

from attention import specs
from attention.lab import analysis, report, results
from attention.lab.report import latex, markdown, references, save_tables, sentences, setting_tables
from attention.lab.report.parts import Cell, Head, Table
from tests.support.made_results import failed, made, searched

SIGNS = r"<b> _ & % # $ ~ ^ \ { } [x] * -- ?` ''"
HOSTILE = [
    "none",
    SIGNS,
    "[a] first",
    "*star",
    "é ö ç ñ Ž ł ß å",
    "α=1.5, λ−2 ≥ 3",
    "汉字 и русский 😀",
    "a" * 200,
    "f(" + ", ".join(f"option_{number}=0.{number}" for number in range(14)) + ")",
]


class Hostile(NamedTuple):
    """Reports of a grid and of a search whose names would be markup, and what is printed of the latter."""

    folder: Path
    printed: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    cells = [(name, norm) for name in HOSTILE[:2] for norm in ("softmax", SIGNS)]
    found = made(cells, by_length=True, dropped=[(SIGNS, SIGNS)])
    found.rows[-1] = failed(found.rows[-1], SIGNS)
    results.write(folder / "grid" / "results.parquet", found)
    report.write(folder / "grid", title=SIGNS, data_name=SIGNS)
    long = made(HOSTILE, search=searched(4))
    long.sweep["notes"] = [["y\x1b[31m\u202ez", long.sweep["variants"]]]
    results.write(folder / "long" / "results.parquet", long)
    return Hostile(folder, report.write(folder / "long"))


def read(folder, name):
    with open(folder / "tables" / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compiled(folder, text, engine):
    (folder / "paper.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"], cwd=folder, capture_output=True, timeout=120
    )
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, "\n".join(line for line in log.splitlines() if line.startswith(("!", "l.")))
    return log


def paper(folders, columns):
    """A document that takes in every figure and every table of several reports."""
    tables = [path for folder in folders for path in sorted((folder / "tables").glob("*.tex"))]
    figures = [path for folder in folders for path in sorted((folder / "figures").glob("*.pdf"))]
    assert {path.stem for path in tables} == set(save_tables.NAMES)
    shown = [rf"\begin{{figure}}\includegraphics[width=\linewidth]{{{path}}}\end{{figure}}\clearpage" for path in figures]
    body = "\n".join([*(rf"\section{{{path.stem}}}\input{{{path}}}" for path in tables), *shown])
    head = rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,graphicx,array}}"
    return f"{head}\\begin{{document}}\n{body}\n\\end{{document}}\n"


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex", "lualatex"])
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_a_paper_takes_in_every_figure_and_table(hostile, tmp_path, engine, columns):
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine}")
    log = compiled(tmp_path, paper([hostile.folder / "grid", hostile.folder / "long"], columns), engine)
    assert not [line for line in log.splitlines() if line.startswith("Overfull") and "hbox" in line]
    assert "Missing character" not in log
    assert not re.search(r"\d+pk>", log.replace("\n", ""))  # a font of bitmaps, which journals refuse


def test_every_table_is_there_in_three_forms(hostile):
    for folder in (hostile.folder / "grid", hostile.folder / "long"):
        found = {path.name for path in (folder / "tables").iterdir()}
        names = {name.partition(".")[0] for name in found}
        assert names <= set(save_tables.NAMES)
        assert found == {f"{name}.{ending}" for name in names for ending in ("csv", "tex", "md")}


def test_csv_has_every_number_in_full(hostile):
    found = results.read(hostile.folder / "long" / "results.parquet")
    lines = {line["variant"]: line for line in read(hostile.folder / "long", "verdicts")}
    standings = analysis.standings(found)
    assert set(lines) == {one.name for one in standings}
    for one in standings:
        line, c = lines[one.name], one.comparison
        assert (float(line["accuracy"]), int(line["finished"]), int(line["requested"])) == (one.mean, one.finished, 5)
        if c is not None:
            given = [float(line[name]) for name in ("difference", "low_95", "high_95", "p_corrected")]
            assert given == [c.difference, c.low, c.high, c.adjusted]
            assert line["verdict"] == c.verdict
    base = lines["none"]
    assert (base["verdict"], base["difference"], base["low_95"], base["high_95"]) == ("baseline", "", "", "")
    for path in (hostile.folder / "long" / "tables").glob("*.csv"):
        head = path.read_text(encoding="utf-8").splitlines()[0].split(",")
        assert all(re.fullmatch("[a-z0-9_]+", name) for name in head), path
        assert len(head) == len(set(head))


def test_names_as_latex_shows_them():
    assert latex.in_latex("50 % of a_b & {c} ~ ^ \\ $") == (
        r"50 \% of a\_b \& \{c\} \textasciitilde{} \textasciicircum{} \textbackslash{} \char36{}"
    )
    assert latex.in_latex("é Ž α Ω") == r"\'{e} \v{Z} $\alpha$ $\Omega$"
    assert latex.in_latex("ï") == '\\"{\\i}'
    assert latex.in_latex("字") == r"\unicodesign{5B57}{字}"
    assert latex.in_latex("\x1b") == r"\texttt{U+001B}"
    assert latex.in_latex("short", breaks=True) == "short"
    assert latex.in_latex("a" * 40, breaks=True).replace(r"\allowbreak{}", "") == "a" * 40


def test_a_long_table_breaks_over_pages():
    rows = [[Cell(f"v{number}"), Cell("1", 1.0)] for number in range(100)]
    text = latex.latex(Table("t", "many", [Head("variant", number=False), Head("n")], rows))
    assert text.count(r"\begin{tabular}") == text.count(r"\toprule") == 3
    assert text.count(r"\textbf{variant}") == 3
    assert all(f"v{number} & 1" in text for number in range(100))


# What members were trained with


def test_hyperparameters_are_whole_and_those_that_differ_stand_first():
    found = made(["none", "rope", "t5"], search=searched(4))
    rows = [[cell.text for cell in row] for row in setting_tables.hyperparameter_table(found).rows]
    config = json.loads(found.rows[0]["config"])
    fields = {f"{name}.{field}" for name, section in config.items() if isinstance(section, dict) for field in section}
    assert {row[0] for row in rows} == {*fields, "task", "seeds"}
    assert rows[:3] == [["model.encoding", name, name] for name in ("none", "rope", "t5")]
    differing = [row[0] for row in rows if row[2] != "all"]
    assert set(differing) == {"model.encoding", "training.learning_rate", "training.dropout"}
    assert [row[0] for row in rows[: len(differing)]] == differing
    assert ["seeds", "0, 1, 2, 3, 4", "all"] in rows


def test_splits_and_classes():
    found = made(["none", "rope"])
    sizes = {row[0].text: [cell.text for cell in row[1:]] for row in setting_tables.split_table(found).rows}
    assert sizes["train"] == ["2,000", "20.5", "40", "-", "-", "2", "75.0"]
    classes = [[cell.text for cell in row] for row in setting_tables.class_table(found).rows]
    assert classes == [["no", "1,500 (75.0 %)", "150 (50.0 %)"], ["yes", "500 (25.0 %)", "150 (50.0 %)"]]
    other = json.loads(found.rows[-1]["data"])
    other["splits"]["train"]["examples"] = 7
    for row in found.rows[5:]:
        row["data"] = json.dumps(other)
    names = [row[0].text for row in setting_tables.split_table(found).rows]
    assert names == ["train of none", "test of none", "train of rope", "test of rope"]


def test_dates_and_machine():
    found = made(["none", "rope"])
    lines = {row[0].text: row[1].text for row in setting_tables.environment_table(found).rows}
    assert lines["trained"] == "2026-11-29 20:15 to 22:15 UTC"
    assert lines["processor"] == "Some CPU @ 2.00GHz"
    assert lines["uncommitted changes"] == "no"
    assert lines["flax"] == "not recorded"
    found.rows[0]["environment"] = json.dumps({**json.loads(found.rows[0]["environment"]), "jax": "0.9"})
    table = setting_tables.environment_table(found)
    assert [head.text for head in table.heads] == ["what", "1 member", "9 members"]


def test_results_of_before_say_what_was_not_recorded():
    found = made(["none", "rope"])
    for row in found.rows:
        row |= {"data": None, "measured_started": None, "measured_ended": None}
    lines = {row[0].text: row[1].text for row in setting_tables.environment_table(found).rows}
    assert lines["trained"] == "not recorded"
    assert dict(setting_tables.data_facts(found))["Sizes and balance of the splits"] == "not recorded"
    assert setting_tables.split_table(found) is None
    assert setting_tables.class_table(found) is None


def test_each_part_has_its_source():
    found = made(["none", "rope(base=500000)", "randomized(inner=alibi())", "sinusoidal + t5", "no_such_part", "1 +"])
    rows = {row[0].text: row[1:] for row in references.reference_table(found).rows}
    parts = ["none", "rope", "randomized", "alibi", "sinusoidal", "t5"]
    assert list(rows) == [f"{name} (encoding)" for name in parts]
    for name in parts:
        said, variants = rows[f"{name} (encoding)"]
        assert said.text == references.source("encoding", name)
        assert name in variants.text
    assert "arXiv 2104.09864" in rows["rope (encoding)"][0].text
    numbers = made(["1", "2"])
    for row in numbers.rows:
        row["fields"] = json.dumps({"training.dropout": 0.1})
    assert references.reference_table(numbers) is None


def test_sources_are_read_whole():
    assert references.source("encoding", "rope").endswith("emozilla, 2023.")
    lacking = {kind: [name for name in specs.names(kind) if not references.source(kind, name)] for kind in specs.KINDS}
    assert not any(lacking[kind] for kind in ("encoding", "normalizer", "score", "mask", "mixer", "pooling", "optimizer"))


# A title and a name of the data


def test_a_title_and_a_name_of_the_data_are_words(hostile):
    page = (hostile.folder / "grid" / "report.html").read_text(encoding="utf-8")
    title = str(markupsafe.escape(SIGNS))
    assert f"<title>{title}</title>" in page
    assert f"<h1>{title}</h1>" in page
    assert f"on test of {title}." in page
    assert "<b>" not in page
    assert f"# {markdown.escaped(SIGNS)}\n" in (hostile.folder / "grid" / "report.md").read_text(encoding="utf-8")
    assert sentences.title(made(["none"])) == "Sweep made"


def test_what_is_printed_holds_nothing_that_a_terminal_obeys(hostile):
    assert all(line.isprintable() for line in hostile.printed.split("\n"))
    assert r"y\x1b[31m\u202ez" in hostile.printed
