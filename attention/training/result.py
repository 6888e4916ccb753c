"""The result of a run, and the table that is printed of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from attention.training import by_length
from attention.metrics import summarize
from attention.training.progress import duration
from attention.tasks._task import TASKS

# How metrics are called in the table.
_HEADS = {"accuracy": "acc", "macro_f1": "F1", "exact_match": "exact", "token_accuracy": "tokens"}


def summary(scores: Sequence[Mapping[str, float] | None], metrics: Sequence[str]) -> dict[str, dict[str, float | None]] | None:
    """Mean, standard deviation and 95 % interval of each metric over the members that have scores; None for none."""
    known = [score for score in scores if score is not None]
    return {name: summarize([score[name] for score in known]) for name in metrics} if known else None


def table(result: Mapping[str, Any]) -> str:
    """The result as lines of text: a row per member, the mean with its 95 % Student-t interval, baselines, cost, lengths."""
    split, task = result["summary_split"], TASKS[result.get("task", "classification")]
    shown, first = task.metrics, task.metrics[0]
    cell = lambda name, value: _cell(name in task.shares, value)
    named = [_HEADS.get(name, name) for name in shown]
    heads = ["seed", "best step", f"validation {named[0]}", *(f"{split} {name}" for name in named), ""]
    rows = [heads]
    for member in result["members"]:
        scores = member[split]
        best = "-" if member["best_step"] is None else str(member["best_step"])
        cells = ["-"] * len(shown) if scores is None else [cell(name, scores[name]) for name in shown]
        validation = "-" if member["validation"] is None else cell(first, member["validation"][first])
        rows.append([str(member["seed"]), best, validation, *cells, member["stopped"] or ""])
    total = result["summary"]
    if total is not None and len(result["members"]) > 1:
        cells = [cell(name, total[name]["mean"]) for name in shown]
        spread = ["±" + cell(name, total[name]["ci95"]) for name in shown]
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


def _cell(share: bool, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if share else f"{value:.4f}"
