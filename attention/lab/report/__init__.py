"""The report of a sweep, made from ``results.parquet`` alone."""

from pathlib import Path

from attention.files import write_atomic
from attention.lab import analysis, costs, results, sweep_record


def write(
    workdir: Path,
    *,
    baseline: str | None = None,
    metric: str | None = None,
    margin: float | None = None,
    title: str | None = None,
    data_name: str | None = None,
) -> str:
    """Writes ``report.html``, ``report.md``, ``figures/`` and ``tables/`` beside ``results.parquet``.

    The same rows and versions give the same bytes. Figures and tables of an earlier report that this one does not have are
    removed.

    Args:
      workdir: of the sweep.
      baseline: the variant to compare the others with, where it is not the sweep's own.
      metric: what to compare them by, where it is not the sweep's own.
      margin: a difference that does not matter, where it is not the sweep's own.
      title: the heading, where it is not the sweep's own.
      data_name: what the data are called, where it is not what the sweep calls them.

    Returns:
      What is printed: the verdicts, the power of the comparison, warnings, and where the report is.

    Raises:
      ValueError: where there are no results, or not of this variant or metric.
    """
    from attention.lab.report import contents, markdown, page, save_figures, save_tables, tables, terminal

    given = {"baseline": baseline, "metric": metric, "margin": margin, "title": title, "data_name": data_name}
    found = results.asked(results.read(workdir / "results.parquet"), **given)
    known = sweep_record.token(workdir)
    if known is not None and found.sweep.get("sweep", known) != known:
        raise ValueError(f"{workdir / 'results.parquet'} is of another sweep than {workdir / 'sweep.json'} beside it")
    standings, ledger, grid = analysis.standings(found), costs.ledger(found), analysis.grid(found)
    drawn = save_figures.draw(workdir, found, standings, ledger, grid)
    verdicts = tables.verdict_table(found, standings)
    report = contents.contents(workdir, found, standings, verdicts, ledger, grid, drawn)
    write_atomic(workdir / "report.md", markdown.markdown(report).encode())
    save_tables.save(workdir, report)
    write_atomic(workdir / "report.html", page.page(report).encode())
    return terminal.terminal(report, verdicts, workdir / "report.html")
