"""The result of a run, and the table that is printed of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from attention import specs
from attention.metrics import summarize
from attention.tasks import Task
from attention.text_table import table as text_table
from attention.training import by_length
from attention.training.progress import duration


def summary(scores: Sequence[Mapping[str, float] | None], task: Task) -> dict[str, dict[str, float | None]] | None:
    """Mean, standard deviation and 95 % interval of each metric over the members that have scores; None for none."""
    known = [score for score in scores if score is not None]
    return {name: summarize([score[name] for score in known]) for name, *_ in task.metrics} if known else None


def table(result: Mapping[str, Any]) -> str:
    """The result as lines of text: a row per member, the mean with its 95 % Student-t interval, baselines, cost, lengths."""
    split, shown = result["summary_split"], specs.build("task", result["task"]).metrics
    first = shown[0]
    heads = ["seed", "best step", f"validation {first.head}", *(f"{split} {metric.head}" for metric in shown), ""]
    rows = [heads]
    for member in result["members"]:
        scores = member[split]
        best = "-" if member["best_step"] is None else str(member["best_step"])
        cells = ["-"] * len(shown) if scores is None else [_cell(metric.share, scores[metric.name]) for metric in shown]
        validation = "-" if member["validation"] is None else _cell(first.share, member["validation"][first.name])
        rows.append([str(member["seed"]), best, validation, *cells, member["stopped"] or ""])
    total = result["summary"]
    if total is not None and len(result["members"]) > 1:
        cells = [_cell(metric.share, total[metric.name]["mean"]) for metric in shown]
        spread = ["±" + _cell(metric.share, total[metric.name]["ci95"]) for metric in shown]
        rows += [["mean", "", "", *cells, ""], ["95 %", "", "", *spread, ""]]
    lines = [text_table(rows, left=0)]
    if split != "test":
        lines.append("There is no labelled test split: test is null, and the summary is of validation.")
    lines += [f"baseline {name}: {100 * value:.2f}" for name, value in result["baselines"].items()]
    cost = f"{result['parameters']:,} parameters, trained in {duration(result['train_seconds'])}"
    lines.append(f"{cost} at {result['examples_per_second']:.0f} examples/s on {result['device']} ({result['kernel']})")
    if result["by_length"] is not None:
        lines += ["", by_length.table(result["by_length"])]
    return "\n".join(lines)


def _cell(share: bool, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if share else f"{value:.4f}"
