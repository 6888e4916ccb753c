"""Draws and saves the figures of a sweep, with a caption and a description in words."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from attention.lab.analysis import Grid, Standing
from attention.lab.costs import Cost
from attention.lab.report import figures, plot_style
from attention.lab.report.numbers import Metric
from attention.lab.report.parts import FOLDER, Drawn
from attention.lab.results import Results


class _Kind(NamedTuple):
    """A figure to be drawn: ``make`` is called within its style; it returns None where there is nothing to draw."""

    name: str
    make: Callable[[], Figure | None]
    caption: str
    description: str


def draw(
    workdir: Path, results: Results, found: Sequence[Standing], ledger: Sequence[Cost], grid: Grid | None
) -> dict[str, Drawn]:
    """Draws the figures of the sweep into ``workdir/figures``, and removes those of an earlier report that it does not have."""
    drawn: dict[str, Drawn] = {}
    for name, make, caption, description in _kinds(results, found, ledger, grid):
        with plot_style.style(name):
            figure = make()
            if figure is not None:
                svg = plot_style.save(figure, workdir / FOLDER, name)
                drawn[name] = Drawn(name, caption, description, svg, figure.get_figwidth() > plot_style.COLUMN)
    _remove_others(workdir / FOLDER, list(drawn))
    return drawn


def _kinds(results: Results, found: Sequence[Standing], ledger: Sequence[Cost], grid: Grid | None) -> list[_Kind]:
    metric = Metric.of(results.sweep)
    first = metric.words[0].upper() + metric.words[1:]
    lines = "one panel per variant; thin: a member, thick: mean of all members, dashed: mean of the baseline"
    curves = f"{lines}. Means end where the first member ends."
    return [
        _Kind(
            "differences",
            lambda: figures.differences(results, found),
            "Differences from the baseline: the mean over seeds, each seed as a small stroke, and 95 % intervals for all"
            " variants together: thick over seeds, thin over seeds and texts of test. Filled: better or worse, where the thick"
            " one leaves out 0. The order is that of the verdicts and, within one, of the sweep.",
            _intervals(results, found),
        ),
        _Kind(
            "learning",
            lambda: figures.curves(results, "validations"),
            f"Validation {metric.words} against update, {curves}",
            f"validation {metric.words} of each member in training, one panel per variant",
        ),
        _Kind(
            "losses",
            lambda: figures.curves(results, "losses"),
            f"Loss against update, {curves}",
            "loss of each member in training, one panel per variant",
        ),
        _Kind(
            "lengths",
            lambda: figures.by_length(results),
            f"Accuracy by length, {lines}. Ranges for which a model has no positions are left out.",
            "Accuracy against length of the text, one panel per variant; the numbers are in the table of lengths",
        ),
        _Kind(
            "costs",
            lambda: figures.costs(results, found, ledger),
            f"{first} against cost: means over members, with one standard deviation. A measure that is the same for all has"
            " no panel; times of a busy machine are left out.",
            f"{first} against cost, one point per variant; the numbers are in the tables of verdicts and of costs",
        ),
        *_heat_maps(results, grid),
        *_trials(results),
    ]


def _heat_maps(results: Results, grid: Grid | None) -> list[_Kind]:
    if grid is None:
        return []
    caption = (
        "Means over seeds, and the interaction of each pair of changes: the effect of both together beyond the sum of each"
        " alone. A triangle marks a verdict."
    )
    description = f"Heat map of {Metric.of(results.sweep).words} over two axes; the interactions are in the table"
    return [_Kind("grid", lambda: figures.heat_map(results, grid), caption, description)]


def _trials(results: Results) -> list[_Kind]:
    kinds, metric = [], Metric.of(results.sweep)
    for number, field in enumerate((results.sweep["search"] or {"ranges": {}})["ranges"], 1):
        caption = f"Trials of the search: validation {metric.words} against {field}, one panel per variant."
        description = f"validation {metric.words} of each trial against {field}"
        kinds.append(_Kind(f"search_{number}", lambda field=field: figures.search(results, field), caption, description))
    return kinds


def _intervals(results: Results, found: Sequence[Standing]) -> str:
    metric = Metric.of(results.sweep)
    said = []
    for one in found:
        if one.comparison is not None and one.comparison.difference is not None:
            c = one.comparison
            interval = metric.interval(c.low, c.high) if c.low is not None and c.high is not None else "no interval"
            said.append(f"{one.name} {metric.difference(one.comparison.difference)} {interval}, {one.comparison.verdict}")
    return f"Differences in {metric.title} from {results.sweep['baseline']}: {'; '.join(said)}"


def _remove_others(folder: Path, names: Sequence[str]) -> None:
    for path in folder.glob("*"):
        ours = path.stem in ("differences", "learning", "losses", "lengths", "costs", "grid") or path.stem.startswith("search_")
        if ours and path.suffix in (".svg", ".pdf", ".png") and path.stem not in names:
            path.unlink()
