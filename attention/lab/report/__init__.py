"""The report of a sweep, made of ``results.parquet`` alone."""

from pathlib import Path

from attention.files import write_atomic
from attention.lab import analysis, results


def write(workdir: Path) -> str:
    """Writes ``report.html``, ``report.md``, ``table.tex`` and ``figures/`` beside ``results.parquet``.

    The same rows and versions give the same bytes. A figure that this sweep has nothing for is removed.

    Args:
      workdir: of the sweep.

    Returns:
      What is printed: the verdicts, what so many seeds could show, and where the report is.

    Raises:
      ValueError: where there are no results, or those of another version.
    """
    from attention.lab.report import markdown_latex, page, save_figures

    found = results.read(workdir / "results.parquet")
    standings, ledger, grid = analysis.standings(found), analysis.ledger(found), analysis.grid(found)
    drawn = save_figures.draw(workdir, found, standings, ledger, grid)
    content = save_figures.Content(workdir, found, standings, ledger, grid, drawn)
    write_atomic(workdir / "report.md", markdown_latex.markdown(content).encode())
    write_atomic(workdir / "table.tex", markdown_latex.latex(found, standings).encode())
    write_atomic(workdir / "report.html", page.page(content).encode())
    return markdown_latex.terminal(found, standings, workdir / "report.html")
