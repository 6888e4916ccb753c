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
from attention.lab.report import latex, latex_text, markdown, references, save_tables, sentences, setting_tables
from attention.lab.report.parts import Cell, Head, Table
from tests.support.made_results import failed, made, searched

SIGNS = r"<b> _ & % # $ ~ ^ \ { } [x] * -- ?` ''"
HOSTILE = [
    "none",
    SIGNS,
    "[a] first",
    "*star",
    "é ö ç ñ Ž ł ß å «Đorđe» þing ąę ŋ ế",
    "α=1.5, λ−2 ≥ 3, ΰ ς",
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
    for row in found.rows:
        row |= {"rival": SIGNS, "rival_scores": {"accuracy": 0.5}}
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


# Tells how wide what is made smaller was.
MEASURED = r"\let\smaller\resizebox\renewcommand\resizebox[3]{\typeout{WIDE \the\wd0}\smaller{#1}{#2}{#3}}"


def letters(log):
    """The size of the smallest letters, in points, of tables on a line of 345 points."""
    return min(8 * 345 / max(345.0, float(wide)) for wide in ["345", *re.findall(r"WIDE ([0-9.]+)pt", log)])


def shown(path):
    table = rf"\input{{{path}}}"
    if "% not within a float" in path.read_text(encoding="utf-8"):
        return rf"\section{{{path.stem}}}{table}"
    return rf"\begin{{table*}}\centering{table}\caption{{{markdown.escaped(path.stem)}}}\end{{table*}}\clearpage"


def paper(folders, columns):
    """A document that takes in every figure and every table of several reports."""
    tables = [path for folder in folders for path in sorted((folder / "tables").glob("*.tex"))]
    figures = [path for folder in folders for path in sorted((folder / "figures").glob("*.pdf"))]
    assert {path.name for path in tables} == {name for name in save_tables.FILES if name.endswith(".tex")}
    size = r"width=\linewidth,height=0.8\textheight,keepaspectratio"
    drawn = [rf"\begin{{figure}}\includegraphics[{size}]{{{path}}}\end{{figure}}\clearpage" for path in figures]
    body = "\n".join([*map(shown, tables), *drawn])
    head = rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,graphicx,array}}{MEASURED}"
    return f"{head}\\begin{{document}}\n{body}\n\\end{{document}}\n"


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex", "lualatex"])
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_a_paper_takes_in_every_figure_and_table(hostile, tmp_path, engine, columns):
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine}")
    log = compiled(tmp_path, paper([hostile.folder / "grid", hostile.folder / "long"], columns), engine)
    assert not [line for line in log.splitlines() if line.startswith("Overfull") and "hbox" in line]
    assert "Missing character" not in log
    assert "Float too large" not in log
    assert not re.search(r"\d+pk>", log.replace("\n", ""))  # a font of bitmaps, which journals refuse
    assert letters(log) > 6 or columns == "twocolumn"


@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_a_paper_as_the_page_shows_it(tmp_path, columns):
    if shutil.which("pdflatex") is None or shutil.which("pdftotext") is None:
        pytest.skip("no pdflatex or pdftotext")
    found = made(["none", "sinusoidal", "rope(base=500000)", "großartig", "đorđe þing ąę", "€ § œuvre"])
    for row in found.rows:
        row["rival"], row["rival_scores"] = "linear", {"accuracy": 0.8}
    results.write(tmp_path / "results.parquet", found)
    report.write(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    packages, body = re.search(r"```latex\n(.*?)\n\n(.*?)```", page, re.DOTALL).groups()
    head = f"\\documentclass[{columns}]{{article}}\n{packages}\n{MEASURED}"
    log = compiled(tmp_path, f"{head}\n\\begin{{document}}\n{body}\\end{{document}}\n", "pdflatex")
    assert not re.search("Float too large|Overfull|Missing character", log)
    assert letters(log) > 7
    text = subprocess.run(["pdftotext", "paper.pdf", "-"], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    assert all(name in text for name in ("großartig", "đorđe", "þing", "œuvre", "beside the", "members"))
    assert "U+" not in text


def test_every_table_is_there_in_three_forms(hostile):
    for folder in (hostile.folder / "grid", hostile.folder / "long"):
        found = {path.name for path in (folder / "tables").iterdir()}
        names = {name.partition(".")[0] for name in found}
        assert found <= set(save_tables.FILES)
        assert found == {*(f"{name}.{ending}" for name in names - {"verdicts_more"} for ending in ("csv", "tex", "md"))} | {
            "verdicts_more.tex"
        }


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
    assert latex_text.in_latex("50 % of a_b & {c} ~ ^ \\ $") == (
        r"50 \% of a\_b \& \{c\} \textasciitilde{} \textasciicircum{} \textbackslash{} \char36{}"
    )
    assert latex_text.in_latex("é Ž α Ω") == r"\'{e} \v{Z} $\alpha$ $\Omega$"
    assert latex_text.in_latex("ï") == '\\"{\\i}'
    assert latex_text.in_latex("ß ø Œ Ł ế ΐ ς") == r"\ss{} \o{} \OE{} \L{} \'{\^{e}} $\acute{\ddot{\iota}}$ $\varsigma$"
    assert latex_text.in_latex("字") == r"\unicodesign{5B57}{字}\allowbreak{}"
    assert latex_text.in_latex("ð") == r"\unicodesign{00F0}{ð}"
    assert latex_text.in_latex("\x1b") == r"\texttt{U+001B}"
    assert latex_text.in_latex("short", breaks=True) == "short"
    assert latex_text.in_latex("a" * 40, breaks=True).replace(r"\penalty500{}", "") == "a" * 40


def test_a_long_table_breaks_over_pages():
    rows = [[Cell(f"v{number}"), Cell("1", 1.0)] for number in range(100)]
    text = latex.latex(Table("t", "many", [Head("variant", number=False), Head("n")], rows))
    assert text.count(r"\begin{tabular}") == text.count(r"\toprule") == 3
    assert text.count("variant & n") == 3
    assert "% not within a float" in text
    assert all(f"v{number} & 1" in text for number in range(100))


def test_columns_that_are_too_many_stand_below_the_others():
    heads = [Head("variant", number=False), *(Head(f"number {place}") for place in range(20))]
    rows = [[Cell(f"v{row}"), *(Cell(f"{1000 * row + place}.25", 1.0) for place in range(20))] for row in range(3)]
    text = latex.latex(Table("t", "wide", heads, rows))
    parts = text.split(r"\medskip")
    assert len(parts) == text.count("variant &") > 1
    assert all(text.count(f" {1000 * row + place}.25") == 1 for row in range(1, 3) for place in range(20))
    widths = [part.count("&") for part in parts]
    assert max(widths) - min(widths) <= 4 * len(parts)
    assert "not within" not in text


def test_columns_that_are_joined_or_stand_aside():
    heads = [Head("variant", number=False), Head("score"), Head("sd", joins=" ± "), Head("seeds needed", aside=True)]
    rows = [[Cell("a"), Cell("1.0"), Cell("0.1"), Cell("7")], [Cell("b"), Cell("2.0"), Cell("-"), Cell("8")]]
    table, more = latex.tables(Table("t", "both", [*heads, Head("p")], [[*row, Cell("-")] for row in rows]))
    assert [head.text for head in table.heads] == ["variant", "score ± sd", "p"]
    assert [[cell.text for cell in row] for row in table.rows] == [["a", "1.0 ± 0.1", "-"], ["b", "2.0", "-"]]
    assert more.name == "t_more"
    assert [[cell.text for cell in row] for row in more.rows] == [["a", "7"], ["b", "8"]]


# What members were trained with


def test_hyperparameters_are_whole_and_those_that_differ_stand_first():
    found = made(["none", "rope", "t5"], search=searched(4))
    rows = [[cell.text for cell in row] for row in setting_tables.hyperparameter_table(found).rows]
    config = json.loads(found.rows[0]["config"])
    fields = {f"{name}.{field}" for name, section in config.items() if isinstance(section, dict) for field in section}
    assert {row[0] for row in rows} == {*fields, "task", "rival", "seeds"}
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
