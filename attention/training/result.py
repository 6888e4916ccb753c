"""The result of a run, and the table that is printed of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from attention.training import by_length
from attention.training.metrics import summarize
from attention.training.progress import duration

_SHOWN = ("accuracy", "macro_f1", "nll", "ece")


def summary(scores: Sequence[Mapping[str, float] | None]) -> dict[str, dict[str, float | None]] | None:
    """Mean, standard deviation and 95 % interval of each metric over the members that have scores; None for none."""
    known = [score for score in scores if score is not None]
    return {name: summarize([score[name] for score in known]) for name in _SHOWN} if known else None


def table(result: Mapping[str, Any]) -> str:
    """The result as lines of text: a row per member, the mean with its 95 % Student-t interval, baselines, cost, lengths."""
    split = result["summary_split"]
    heads = ["seed", "best step", "validation acc", f"{split} acc", f"{split} F1", f"{split} nll", f"{split} ece", ""]
    rows = [heads]
    for member in result["members"]:
        scores = member[split]
        best = "-" if member["best_step"] is None else str(member["best_step"])
        cells = ["-"] * 4 if scores is None else [_cell(name, scores[name]) for name in _SHOWN]
        validation = "-" if member["validation"] is None else _cell("accuracy", member["validation"]["accuracy"])
        rows.append([str(member["seed"]), best, validation, *cells, member["stopped"] or ""])
    total = result["summary"]
    if total is not None and len(result["members"]) > 1:
        cells = [_cell(name, total[name]["mean"]) for name in _SHOWN]
        spread = ["±" + _cell(name, total[name]["ci95"]) for name in _SHOWN]
        rows += [["mean", "", "", *cells, ""], ["95 %", "", "", *spread, ""]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    if split != "test":
        lines.append("There is no labelled test split: test is null, and the summary is of validation.")
    lines += [f"baseline {name}: {100 * value:.2f}" for name, value in result["baselines"].items()]
    cost = f"{result['parameters']:,} parameters, trained in {duration(result['train_seconds'])}"
    lines.append(f"{cost} at {result['examples_per_second']:.0f} examples/s on {result['device']} ({result['kernel']})")
    if result.get("by_length") is not None:  # runs of before have none
        lines += ["", by_length.table(result["by_length"])]
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if name in ("accuracy", "macro_f1") else f"{value:.4f}"
