"""The figures of a report: differences, curves, costs, the heat map of a grid, and the trials of a search.

Each takes the results and returns a figure, or None where there is nothing to draw. Curves have one panel per variant,
with the mean of the baseline for comparison: eighty lines in one panel would be unreadable.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, colors, ticker
from matplotlib.figure import Figure

from attention.lab import analysis
from attention.lab.analysis import Grid, Standing
from attention.lab.costs import Cost
from attention.lab.report import plot_style
from attention.lab.report.numbers import MINUS, SIGNS, Metric, wrapped
from attention.lab.report.plot_style import COLOURS, COLUMN, GROUND, INK, MARKERS, WIDTH
from attention.lab.results import Results, validations

_LINE = 0.155  # inches, of the names in the figure of differences

Curves = Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]]  # by variant, x and y of each member


def differences(results: Results, found: Sequence[Standing]) -> Figure | None:
    """The difference of each variant from the baseline: its pairs, their mean and 95 % intervals, in the table's order.

    Names stand above the intervals, so that a column of a paper, or a phone, is wide enough.
    """
    base = next(one for one in found if one.name == results.sweep["baseline"])
    shown = [one for one in analysis.by_verdict(found) if one.comparison is not None and one.comparison.difference is not None]
    if not shown:
        return None
    metric = Metric.of(results.sweep)
    labels = [wrapped(one.name, 36, lines=5) for one in shown]
    heights = [_LINE * (2.9 + label.count("\n")) for label in labels]
    figure = Figure(figsize=(COLUMN, 0.66 + sum(heights)))
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=0.8)
    plot_style.grid_lines(axes, "x")
    top = 0.0
    for one, label, height in zip(shown, labels, heights):
        _named_interval(axes, top, label, one)
        _interval(axes, top + height - 1.15 * _LINE, one, base, metric.factor)
        top += height
    axes.set_ylim(top + 0.05, -0.05)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    better = "right" if results.sweep["higher_is_better"] else "left"
    axes.set_xlabel(f"difference in {metric.words}{metric.in_unit}\nfrom {wrapped(base.name, 36)}; better is to the {better}")
    return figure


def _named_interval(axes: Any, top: float, label: str, one: Standing) -> None:
    """The name of a variant at the left, and its verdict at the right of the last line of the name, or below a long one."""
    assert one.comparison is not None
    words = f"{SIGNS.get(one.comparison.verdict, '')} {one.comparison.verdict}".strip()
    shown: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "top", "zorder": 5}
    shown["bbox"] = {"facecolor": GROUND, "edgecolor": "none", "pad": 0.8}  # over the lines of the ticks
    axes.text(0, top, label, linespacing=1.15, **shown)
    axes.text(1, top + _LINE * label.count("\n"), words, ha="right", fontsize=7, **shown)


def _interval(axes: Any, place: float, one: Standing, base: Standing, factor: float) -> None:
    found = one.comparison
    assert found is not None
    assert found.difference is not None
    pairs = [(one.members[seed], base.members.get(seed)) for seed in one.members]
    dots = [factor * (a - b) for a, b in pairs if a is not None and b is not None]
    axes.plot(dots, [place] * len(dots), "|", color=INK, alpha=0.35, markersize=6, zorder=2)
    decided = found.verdict in ("better", "worse")
    colour = {"better": COLOURS[0], "worse": COLOURS[1]}.get(found.verdict, INK)
    if isinstance(one.over_texts, tuple):
        axes.plot([factor * end for end in one.over_texts], [place, place], color=colour, linewidth=0.9, zorder=3)
    if found.low is not None and found.high is not None:
        axes.plot([factor * found.low, factor * found.high], [place, place], color=colour, linewidth=2, zorder=3)
    marker = {"better": "^", "worse": "v"}.get(found.verdict, "o")
    mean = factor * found.difference
    axes.plot(mean, place, marker, color=colour, mfc=colour if decided else GROUND, ms=5.5, mew=1.4, zorder=4)


def curves(results: Results, column: str) -> Figure | None:
    """The members' ``losses`` or ``validations`` against updates."""
    validated = next((validations(row, results.sweep["metric"])[0] for row in results.rows if row["validations"]), None)
    metric = Metric.of(results.sweep, validated)
    factor = metric.factor if column == "validations" else 1.0
    line_of = lambda row: row["losses"] if column == "losses" else validations(row, metric.name)[1]
    series = {}
    for name in results.sweep["variants"]:
        lines = [line for row in analysis.rows(results, name) if (line := line_of(row))]
        points = [[(point["step"], point["value"]) for point in line if _finite(point["value"])] for line in lines]
        series[name] = [([x for x, _ in line], [factor * y for _, y in line]) for line in points if line]
    title = "training loss" if column == "losses" else f"validation {metric.title}"
    figure, axes = _panels(results, series, marked=column == "validations")
    for one in axes:
        plot_style.thousands(one.xaxis)
        if column == "losses":
            one.set_ylim(*_without_outliers(series))
    if figure is not None:
        figure.supxlabel("update", fontsize=8, color=INK)
        figure.supylabel(title, fontsize=8, color=INK)
    return figure


def by_length(results: Results) -> Figure | None:
    """Accuracy against length, without the ranges for which a model has no positions."""
    found = analysis.lengths(results)
    if found is None:
        return None
    trained, by_name = found
    series: dict[str, list[tuple[list[float], list[float]]]] = {}
    for name, ranges in by_name.items():
        seeds = list(dict.fromkeys(seed for one in ranges for seed in one.values))
        series[name] = []
        for seed in seeds:
            known = [(one, value) for one in ranges if _finite(value := one.values.get(seed)) and not one.undefined]
            x, y = [(one.above + 1 + one.up_to) / 2 for one, _ in known], [100 * float(value or 0) for _, value in known]
            series[name].append((x, y))
    figure, axes = _panels(results, series, marked=True)
    longest = max(one.up_to for ranges in by_name.values() for one in ranges)
    for name, one in zip([name for name in series if any(x for x, _ in series[name])], axes):
        one.axvline(trained + 0.5, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        one.set(xlim=(0, longest + 1), ylim=(-2, 102))
        gone = [each for each in by_name[name] if each.undefined]
        if gone:
            one.axvspan(gone[0].above + 0.5, longest + 1, color=INK, alpha=0.07, linewidth=0)
            place = (gone[0].above + longest + 1) / 2
            ground = {"facecolor": GROUND, "edgecolor": "none", "pad": 1.5}
            one.text(place, 8, "undefined", ha="center", va="bottom", fontsize=7, bbox=ground)
    if figure is not None:
        figure.supxlabel("length in symbols (dotted: the longest in training)", fontsize=8, color=INK)
        figure.supylabel("accuracy, %", fontsize=8, color=INK)
    return figure


def _panels(results: Results, series: Curves, *, marked: bool) -> tuple[Figure | None, list[Any]]:
    """A panel for each variant that has curves: members thin, their mean thick, the baseline's mean dashed."""
    there = [name for name in series if any(len(x) for x, _ in series[name])]
    if not there:
        return None, []
    figure, axes = plot_style.panels(len(there), height=1.25, sharex=True, sharey=True)
    base = results.sweep["baseline"]
    for place, (one, name) in enumerate(zip(axes, there)):
        colour = INK if name == base else COLOURS[place % len(COLOURS)]
        plot_style.grid_lines(one)
        for x, y in series[name]:
            one.plot(x, y, color=colour, alpha=0.45, linewidth=0.5)
        if name != base and base in there:
            one.plot(*_mean(series[base]), color=INK, linewidth=1.2, linestyle="--")
        few = marked and max(len(x) for x, _ in series[name]) <= 15
        one.plot(*_mean(series[name]), color=colour, linewidth=1.5, marker="o" if few else None, markersize=2.5)
        plot_style.named(one, f"{name} (baseline)" if name == base else name)
    return figure, axes


def _mean(lines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[list[float], list[float]]:
    """The mean where every line has a value: beyond, it would be over the members that went on."""
    lines = [line for line in lines if len(line[0])]
    shared = sorted(set.intersection(*(set(x) for x, _ in lines)))
    values = [dict(zip(x, y)) for x, y in lines]
    return shared, [float(np.mean([value[x] for value in values])) for x in shared]


def _without_outliers(series: Curves) -> tuple[float, float]:
    """Limits that ignore a spike at the start."""
    values = np.concatenate([y for lines in series.values() for _, y in lines])
    low, high = float(values.min()), float(np.quantile(values, 0.995))
    room = 0.05 * (high - low) or 0.1
    return low - room, high + room


def costs(results: Results, found: Sequence[Standing], ledger: Sequence[Cost]) -> Figure | None:
    """The metric against parameters, operations and seconds, except those that are the same for all variants."""
    metric = Metric.of(results.sweep)
    measures = {
        "parameters": [one.parameters for one in ledger],
        "operations per example": [one.flops for one in ledger],
        "seconds of training": [one.member_seconds for one in ledger],
    }
    there = [place for place, one in enumerate(found) if one.mean is not None]
    shown = {}
    for title, values in measures.items():
        known = [float(value) for place in there if (value := values[place]) is not None]
        if len(set(known)) > 1:
            shown[title] = values
    if not shown:
        return None
    figure, panels = plot_style.panels(len(shown), height=2.1, sharey=True)
    for axes, (title, values) in zip(panels, shown.items()):
        plot_style.grid_lines(axes)
        for place in there:
            _cost(axes, values[place], found[place], place, metric.factor, base=found[place].name == results.sweep["baseline"])
        known = [value for place in there if (value := values[place])]
        if max(known) > 10 * min(known):
            plot_style.logarithmic(axes)
        else:
            axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        axes.set_xlabel(title)
    panels[0].set_ylabel(metric.title)
    handles, labels = panels[0].get_legend_handles_labels()
    labels = [wrapped(label, 30) for label in labels]
    figure.legend(handles, labels, loc="outside lower left", ncols=3 if max(map(len, labels)) > 18 else 4, alignment="left")
    return figure


def _cost(axes: Any, x: float | None, one: Standing, place: int, factor: float, *, base: bool) -> None:
    if x is None or one.mean is None:
        return
    colour = INK if base else COLOURS[place % len(COLOURS)]
    label = f"{one.name} (baseline)" if base else one.name
    y, spread = factor * one.mean, factor * (one.spread or 0.0)
    axes.plot([x, x], [y - spread, y + spread], color=colour, linewidth=1, alpha=0.6)
    axes.plot(x, y, MARKERS[place % len(MARKERS)], color=colour, markersize=5, label=label, mfc=GROUND if base else colour)


def heat_map(results: Results, found: Grid) -> Figure | None:
    """The means over the grid, and beside them the effect of two changes together beyond the sum of each alone."""
    metric = Metric.of(results.sweep)
    tables = {metric.title: _cells(found, found.means, metric.factor)}
    if found.contrasts:
        contrasts = {cell: one.difference for cell, one in found.contrasts.items()}
        tables[f"interaction, {metric.words}{metric.in_unit}"] = _cells(found, contrasts, metric.factor)
    if not any(np.isfinite(cells).any() for cells in tables.values()):
        return None
    rows, columns = len(found.axes[0]), len(found.axes[1])
    figure = Figure(figsize=(WIDTH, 0.9 + 0.36 * rows))
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for number, (axes, (title, cells)) in enumerate(zip(panels, tables.items())):
        _heat(axes, cells, metric, found if number else None)
        axes.set_title(wrapped(title, 26 if len(tables) > 1 else 60))
        axes.set_xticks(range(columns), [wrapped(name, 48 // (columns * len(tables)) + 6) for name in found.axes[1]])
        axes.set_yticks(range(rows), [wrapped(name, 20) for name in found.axes[0]])
        axes.set_xlabel(found.fields[1])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel(found.fields[0])
    return figure


def _cells(found: Grid, values: Mapping[tuple[str, str], float | None], factor: float) -> np.ndarray:
    known = [[values.get((a, b)) for b in found.axes[1]] for a in found.axes[0]]
    return factor * np.array([[math.nan if value is None else value for value in row] for row in known])


def _heat(axes: Any, cells: np.ndarray, metric: Metric, contrasts: Grid | None) -> None:
    """Cells with their numbers; those of ``contrasts`` are signed, with a triangle for a verdict."""
    known = cells[np.isfinite(cells)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if contrasts is not None:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    scale = colormaps["cividis" if contrasts is None else "PuOr"]
    norm = colors.Normalize(low, high if high > low else low + 1)
    for (row, column), value in np.ndenumerate(cells):
        fill: Any = scale(norm(value)) if np.isfinite(value) else "none"
        axes.fill([column - 0.49, column + 0.49, column + 0.49, column - 0.49], [row - 0.48] * 2 + [row + 0.48] * 2, color=fill)
        ink = plot_style.readable_on(fill) if np.isfinite(value) else INK
        words = metric.value(value / metric.factor)
        if contrasts is not None:
            verdict = contrasts.contrasts.get((contrasts.axes[0][row], contrasts.axes[1][column]))
            sign = SIGNS[verdict.verdict] if verdict is not None and verdict.verdict in ("better", "worse") else ""
            words = f"{metric.difference(value / metric.factor)} {sign}".strip().replace("-", MINUS)
        axes.text(column, row, words if np.isfinite(value) else "–", ha="center", va="center", color=ink)
    axes.set(xlim=(-0.5, cells.shape[1] - 0.5), ylim=(cells.shape[0] - 0.5, -0.5))


def search(results: Results, field: str) -> Figure | None:
    """The trials of each variant: the validation metric against one of the searched fields."""
    metric = Metric.of(results.sweep)
    ranges = results.sweep["search"]["ranges"]
    by_name = {}
    for name in results.sweep["variants"]:
        trials = [(json.loads(row["drawn"]), row) for row in analysis.rows(results, name, "search")]
        scored = [(drawn, row, analysis.value(row, metric.name, "validation")) for drawn, row in trials]
        by_name[name] = [(drawn[field], metric.factor * y, row["reason"] is None) for drawn, row, y in scored if y is not None]
    there = [name for name, trials in by_name.items() if trials]
    if not there:
        return None
    figure, panels = plot_style.panels(len(there), height=1.25, sharex=True, sharey=True)
    for place, (axes, name) in enumerate(zip(panels, there)):
        base = name == results.sweep["baseline"]
        colour = INK if base else COLOURS[place % len(COLOURS)]
        plot_style.grid_lines(axes)
        for x, y, whole in by_name[name]:
            axes.plot(x, y, "o", color=colour, mfc=colour if whole else GROUND, markersize=3.5)
        chosen = {json.loads(row["drawn"]).get(field) for row in analysis.rows(results, name)} - {None}
        for x in chosen:
            axes.axvline(x, color=colour, linewidth=0.8, linestyle="--")
        if ranges[field].strip().startswith("log"):
            plot_style.logarithmic(axes)
        plot_style.named(axes, f"{name} (baseline)" if base else name)
    figure.supxlabel(f"{field} (hollow: stopped early; dashed: chosen)", fontsize=8, color=INK)
    figure.supylabel(f"validation {metric.title}", fontsize=8, color=INK)
    return figure


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
