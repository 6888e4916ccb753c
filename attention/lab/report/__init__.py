"""The report of a sweep, made of ``results.parquet`` alone."""

from pathlib import Path

from attention.data._files import write_atomic
from attention.lab import results, verdicts


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
    from attention.lab.report import documents, gallery, page  # here, because matplotlib takes its time

    found = results.read(workdir / "results.parquet")
    standings, ledger, grid = verdicts.standings(found), verdicts.ledger(found), verdicts.grid(found)
    drawn = gallery.draw(workdir, found, standings, ledger, grid)
    content = gallery.Content(workdir, found, standings, ledger, grid, drawn)
    write_atomic(workdir / "report.md", documents.markdown(content).encode())
    write_atomic(workdir / "table.tex", documents.latex(found, standings).encode())
    write_atomic(workdir / "report.html", page.page(content).encode())
    return documents.terminal(found, standings, workdir / "report.html")
