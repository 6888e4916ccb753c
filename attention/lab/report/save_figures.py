"""The figures that a sweep has something for, drawn and saved, with their captions and what they show in words."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attention.lab.analysis import Cost, Grid, Standing
from attention.lab.report import figures, numbers, plot_style
from attention.lab.report.numbers import Metric
from attention.lab.results import Results

FOLDER = "figures"


class Drawn(NamedTuple):
    """A figure that has been saved as ``figures/NAME.svg`` and ``.png``."""

    name: str
    caption: str
    description: str
    svg: str  # for the page


class Content(NamedTuple):
    """What a report is made of.

    Attributes:
      workdir: of the sweep, for the commands.
      results: the rows.
      found: ``verdicts.standings``.
      ledger: ``verdicts.ledger``.
      grid: ``verdicts.grid``.
      drawn: the figures by name.
    """

    workdir: Path
    results: Results
    found: Sequence[Standing]
    ledger: Sequence[Cost]
    grid: Grid | None
    drawn: Mapping[str, Drawn]


def draw(
    workdir: Path, results: Results, found: Sequence[Standing], ledger: Sequence[Cost], grid: Grid | None
) -> dict[str, Drawn]:
    """Draws into ``workdir/figures`` what there is, and removes what a former report had there and this one has not."""
    metric = Metric.of(results.sweep)
    drawn: dict[str, Drawn] = {}
    first = metric.words[0].upper() + metric.words[1:]

    def add(name: str, make: Callable[[], Any], caption: str, description: str) -> None:
        with plot_style.style(name):
            figure = make()
            if figure is not None:
                svg = plot_style.save(figure, workdir / FOLDER, name, description)
                drawn[name] = Drawn(name, caption, description, svg)

    lines = "a panel for each variant; thin: a member, thick: the mean of all, dashed: the mean of the baseline"
    add(
        "differences",
        lambda: figures.differences(results, found),
        "Differences from the baseline: the mean over seeds, its 95 % interval for one difference alone, and each seed as a"
        " small stroke. Filled: a verdict after Holm's correction.",
        _intervals(results, found),
    )
    for name, column, what in (("learning", "validations", f"validation {metric.words}"), ("losses", "losses", "loss")):
        caption = f"{what[0].upper()}{what[1:]} against update, {lines}. Means run as long as every member did."
        make = lambda column=column: figures.curves(results, column)
        add(name, make, caption, f"{what} of each member in training, one panel per variant")
    add(
        "lengths",
        lambda: figures.by_length(results),
        f"Accuracy by length, {lines}. Ranges that a model has no positions for are left out.",
        "Accuracy against length of the text, one panel per variant; the numbers are in the table of lengths",
    )
    add(
        "costs",
        lambda: figures.costs(results, found, ledger),
        f"{first} for its cost: means over members, with one standard deviation. A measure that is the same for all has no"
        " panel.",
        f"{first} against cost, one point per variant; the numbers are in the tables of verdicts and of costs",
    )
    if grid is not None:
        add(
            "grid",
            lambda: figures.heat_map(results, grid),
            "Means over seeds, and the interaction of each two changes: what they do together beyond the sum of each alone."
            " A triangle is a verdict.",
            f"Heat map of {metric.words} over two axes; the interactions are in the table",
        )
    for number, field in enumerate((results.sweep["search"] or {"ranges": {}})["ranges"], 1):
        caption = f"Trials of the search: validation {metric.words} against {field}, a panel for each variant."
        make = lambda field=field: figures.search(results, field)
        add(f"search_{number}", make, caption, f"validation {metric.words} of each trial against {field}")
    _remove_others(workdir / FOLDER, list(drawn))
    return drawn


def _intervals(results: Results, found: Sequence[Standing]) -> str:
    metric = Metric.of(results.sweep)
    said = []
    for one in found:
        if one.comparison is not None and one.comparison.difference is not None:
            interval = metric.interval(one.comparison).replace(numbers.NONE, "no interval", one.comparison.low is None)
            said.append(f"{one.name} {metric.difference(one.comparison.difference)} {interval}, {one.comparison.verdict}")
    return f"Differences in {metric.title} from {results.sweep['baseline']}: {'; '.join(said)}"


def _remove_others(folder: Path, names: Sequence[str]) -> None:
    for path in folder.glob("*"):
        ours = path.stem in ("differences", "learning", "losses", "lengths", "costs", "grid") or path.stem.startswith("search_")
        if ours and path.suffix in (".svg", ".png") and path.stem not in names:
            path.unlink()
