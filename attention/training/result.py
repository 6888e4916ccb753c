"""The result of a run, and the table that is printed of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention import specs
from attention.data.contracts import Dataset
from attention.messages import LONGEST, duration, shortened, shown
from attention.metrics import summarize
from attention.tasks import Metric, Task
from attention.text_table import table as text_table
from attention.training import by_length, contexts, machine


def summary(scores: Sequence[Mapping[str, float] | None], task: Task) -> dict[str, dict[str, float | None]] | None:
    """Mean, standard deviation and 95 % interval of each metric over the members that have scores; None for none."""
    known = [score for score in scores if score is not None]
    return {name: summarize([score[name] for score in known]) for name, *_ in task.metrics} if known else None


def clean(data: Dataset, scores: Sequence[Mapping[str, float] | None], task: Task) -> dict[str, Any] | None:
    """What is said of the clean texts of test, those neither in train nor in validation; None where all are.

    Args:
      data: with a test split.
      scores: ``clean_scores`` of each member.
      task: what was learned.
    """
    seen = data.seen["test"]
    if not seen.any():
        return None
    return {"count": int((~seen).sum()), "of": len(seen), "summary": summary(scores, task)}


def table(result: Mapping[str, Any]) -> str:
    """The result as lines of text: a row per member, the mean with its 95 % Student-t interval, baselines, cost, lengths."""
    result = _printable(result)
    split, task = result["summary_split"], specs.build("task", result["task"])
    scored, clean = [member[split] for member in result["members"] if member[split]], result.get("clean")
    undefined = {metric for metric in task.metrics[1:] if scored and all(each[metric.name] is None for each in scored)}
    first, metrics = task.metrics[0], [metric for metric in task.metrics if metric not in undefined]
    heads = ["seed", "best step", f"validation {first.head}", *(f"{split} {metric.head}" for metric in metrics)]
    rows = [[*heads, *([f"clean {first.head}"] if clean else []), ""]]
    for member in result["members"]:
        best = "-" if member["best_step"] is None else str(member["best_step"])
        cells = [_score(member["validation"], first), *(_score(member[split], metric) for metric in metrics)]
        cells += [_score(member["clean"], first)] if clean else []
        rows.append([str(member["seed"]), best, *cells, member["stopped"] or ""])
    if result["summary"] is not None and len(result["members"]) > 1:
        pairs = [(result["summary"], metric) for metric in metrics] + ([(clean["summary"], first)] if clean else [])
        for head, field, sign in (("mean", "mean", ""), ("95 %", "ci95", "±")):
            cells = [_cell(metric.share, None if total is None else total[metric.name][field], sign) for total, metric in pairs]
            rows.append([head, "", "", *cells, ""])
    lines = [text_table(rows, left=0), *_said_of_splits(result)]
    if earlier := result.get("continued"):
        lines.append(f"goes on with {earlier['run']} after update {earlier['step']}, state {earlier['hash'][:12]}")
    lines += [f"baseline {name}: {_cell(task.ruled.share, value)}" for name, value in result["baselines"].items()]
    lines += [*_rival(result, metrics), *_cost(result)]
    if result["by_length"] is not None:
        lines += ["", by_length.table(result["by_length"])]
    if result.get("contexts") is not None:
        lines += ["", contexts.table(result["contexts"])]
    return "\n".join(shortened(line, LONGEST) for line in "\n".join(lines).split("\n"))


def stored_table(result: Mapping[str, Any], path: Path) -> str:
    """``table`` of what a file holds. Raises ValueError where that is not a result that training writes."""
    try:
        return table(result)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{shown(path)} is not what training writes ({error!r})") from None


def _printable(value: Any) -> Any:
    """A value of JSON whose strings keep to their line, so that a terminal obeys none of them."""
    if isinstance(value, Mapping):
        return {_printable(name): _printable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return shown(value) if isinstance(value, str) else value


def _said_of_splits(result: Mapping[str, Any]) -> list[str]:
    """What the table has scores of, where that is not all of test."""
    clean = result.get("clean")
    if clean:
        return [f"clean: the {clean['count']} of {clean['of']} texts of test that are neither in train nor in validation"]
    if result["summary_split"] == "test":
        return []
    why = "There is no labelled test split" if result.get("tested", True) else "Test is not looked at in a search"
    return [f"{why}: test is null, and the summary is of validation."]


def _rival(result: Mapping[str, Any], metrics: Sequence[Metric]) -> list[str]:
    """What the rival scores, and whether no member is better."""
    rival, first, split = result.get("rival"), metrics[0], result["summary_split"]
    if rival is None or not rival["splits"]:
        return [] if rival is None else [f"rival {rival['spec']}: left out: {rival['note']}"]
    others = ", ".join(f"{each.head} {_score(rival['splits'][split], each)}" for each in metrics[1:])
    beside = "" if split == "validation" else f"; {_score(rival['splits']['validation'], first)} on validation"
    lines = [f"rival {rival['spec']}: {_score(rival['splits'][split], first)} ({others}){beside}"]
    if rival["clean"]:
        lines[0] += f", {_score(rival['clean'], first)} on the clean texts"
    if not rival["facts"]["converged"]:
        lines.append("its fit did not converge: more is in reach of such a rival")
    worth = lambda scores: scores[first.name] if first.higher_is_better else -scores[first.name]
    known = [worth(member[split]) for member in result["members"] if member[split] and member[split][first.name] is not None]
    if known and max(known) <= worth(rival["splits"][split]):
        lines.append(f"no member is better than the rival {rival['spec']}")
    return lines


def _cost(result: Mapping[str, Any]) -> list[str]:
    """Parameters and times; of a busy machine without a speed, and with the time of the processors."""
    used, idle = result.get("devices", 1), result.get("idle_devices", [])
    several = f"{used} of {used + len(idle)} devices, each " if used + len(idle) > 1 else ""
    where = f"on {several}{result['device']} ({result['kernel']})"
    parts = f"{result['parameters']:,} parameters, trained in {duration(result['train_seconds'])}"
    reason = machine.busy_in(result)
    if reason is None:
        tokens = result.get("tokens_per_second")
        beside = "" if tokens is None else f", {tokens:.0f} tokens/s,"
        return [f"{parts} at {result['examples_per_second']:.0f} examples/s{beside} {where}"]
    processor = result["process_seconds"]
    own = "" if processor is None else f"; the updates took {duration(processor)} of processor time"
    return [f"{parts} {where}", f"the machine was busy ({reason}), so that this is not what it costs{own}"]


def _score(scores: Mapping[str, float] | None, metric: Metric) -> str:
    return _cell(metric.share, None if scores is None else scores[metric.name])


def _cell(share: bool, value: float | None, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{sign}{100 * value:.2f}" if share else f"{sign}{value:.4f}"
