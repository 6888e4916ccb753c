"""Compares two finished runs: seed by seed on every metric, and example by example, or piece of text by piece of text.

The differences by seed show whether training again would give the same verdict; McNemar's test and the bootstrap over pieces
show whether two trained models differ on these examples. Neither replaces the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attention import specs
from attention.files import differences
from attention.lab import by_block, by_example, comparisons
from attention.lab.report.numbers import NONE, Metric
from attention.messages import listed
from attention.runs.directory import RunDirectory
from attention.text_table import table
from attention.training import config as configs
from attention.training import identities


def compare(runs: Sequence[str]) -> str:
    """Compares B with A.

    Args:
      runs: the directories of A and B: finished runs of one task on one test split.

    Returns:
      Lines of text: where the configs differ, the metrics paired by seed, the examples, and pieces of text.

    Raises:
      ValueError: unless there are two finished runs of the same task with the same test data.
    """
    if len(runs) != 2 or not all(runs):
        raise ValueError(f"--compare takes two runs, --compare runs/A runs/B; got {len(list(filter(None, runs)))}")
    a, b = (RunDirectory(run) for run in runs)
    results = [_result(run) for run in (a, b)]
    lines = [f"A: {a.path}", f"B: {b.path}", *_differing(a, b), *_other_content(a, b), *_other_sources(a, b)]
    if results[0]["task"] != results[1]["task"]:
        raise ValueError(
            f"only runs of one task can be compared; {a.path} is {results[0]['task']}, {b.path} {results[1]['task']}"
        )
    split, other = (result["summary_split"] for result in results)
    if split != other:
        raise ValueError(f"{a.path} was scored on {split}, {b.path} on {other}; they cannot be compared")
    hashes = [identities.recorded(run).content.splits.get(split) for run in (a, b)]
    if hashes[0] != hashes[1]:
        raise ValueError(f"{a.path} and {b.path} were scored on different examples of {split} and cannot be compared")
    for run, result in zip((a, b), results):
        if all(member["failed"] or member[split] is None for member in result["members"]):
            raise ValueError(f"no member of {run.path} has a score on {split}: all failed, and there is nothing to compare")
    task, said = specs.build("task", results[0]["task"]), [run.read_predictions() or {} for run in (a, b)]
    same = _same_tokens(a, b, split, said, task)
    lines += ["", *_by_seed(results, split, task, same)]
    lines += _by_example(a, b, results, said, task)
    lines += _by_block(results, said, task) if same else []
    return "\n".join(lines)


def _result(run: RunDirectory) -> dict[str, Any]:
    if (run.path / "sweep.json").exists():
        raise ValueError(f"{run.path} is a sweep; its report compares its variants; give two runs from its points/ instead")
    identities.check_config(run, configs.from_dict(run.read_config()))  # says what is wrong with a folder that is no run
    if not run.finished:
        raise ValueError(f"run {run.path} is not finished; the command that started it continues it")
    return run.read_result()


def _differing(a: RunDirectory, b: RunDirectory) -> list[str]:
    fields = [configs.to_dict(configs.from_dict(run.read_config())) for run in (a, b)]
    different = differences(*fields)
    return [f"{name}: {was} in A, {given} in B" for name, was, given in different if not name.startswith(("seeds", "trackers"))]


def _other_content(a: RunDirectory, b: RunDirectory) -> list[str]:
    """A line for each split, and for the start, that is not of one content in both, whatever it is called."""
    one, other = (identities.recorded(run).content for run in (a, b))
    names = [f"the {name} split" for name in (*one.splits, *other.splits) if one.splits.get(name) != other.splits.get(name)]
    if one.start != other.start:
        names.append("what training starts from")
    return [f"{name} has another content in A than in B" for name in dict.fromkeys(names)]


def _other_sources(a: RunDirectory, b: RunDirectory) -> list[str]:
    """A line where the two were not trained by the same files of the package, in the same environment."""
    lines, sources = [], [run.read_sources() for run in (a, b)]
    files = [name for name, _, _ in differences(*sources)]
    if not all(sources):
        lines.append("by what files of the package they were trained is not known of both")
    elif files:
        lines.append(f"trained by other files of the package: {listed(files, 5)}")
    environments = [run.read_environment() for run in (a, b)]
    for name in ("jax", "jaxlib", "device", "cores", "device_count"):
        was, given = (each.get(name) for each in environments)
        if was != given and (name != "device_count" or None not in (was, given)):  # older runs do not say it
            lines.append(f"{name}: {was} in A, {given} in B")
    return lines


def _same_tokens(a: RunDirectory, b: RunDirectory, split: str, said: Sequence[Mapping[str, np.ndarray]], task: Any) -> bool:
    """Whether both runs read the same tokens, among the same that there could be, where any metric is a mean over them.

    Of runs that have not recorded them, as far as their numbers tell.
    """
    if not any(metric.per_token for metric in task.metrics):
        return True
    records = [run.read_data() for run in (a, b)]
    hashes = [record.splits.get(split, {}).get("tokens") for record in records]
    if None not in hashes:
        return hashes[0] == hashes[1]
    counts = [side[count][0] for _, _, count in task.ratios for side in said if count in side]
    alike = all(np.array_equal(first, other) for first, other in zip(counts[::2], counts[1::2]))
    return records[0].vocab_size == records[1].vocab_size and alike


def _by_seed(results: Sequence[dict[str, Any]], split: str, task: Any, same_tokens: bool) -> list[str]:
    compared, undefined, left = [], [], []
    for metric in task.metrics:
        sides = [{member["seed"]: _score(member, split, metric.name) for member in result["members"]} for result in results]
        if not all(any(value is not None for value in side.values()) for side in sides):
            undefined.append(metric.name)
        elif metric.per_token and not same_tokens:
            left.append(metric.name)
        else:
            found = comparisons.compare(*sides, higher_is_better=metric.higher_is_better, names=("A", "B"))
            compared.append((Metric(metric.name, metric.share), sides, found))
    lines = metric_lines(compared) if compared else []
    lines += [f"undefined: {', '.join(undefined)}"] if undefined else []
    rest = [metric.name for metric, _, _ in compared]
    instead = f"; {' and '.join(rest)} can" if rest else ""
    lines += [f"the two have other tokens: {', '.join(left)} per token cannot be compared{instead}"] if left else []
    return [f"by seed, on {split}:", *lines]


def metric_lines(compared: Sequence[tuple[Metric, Sequence[comparisons.Members], comparisons.Comparison]]) -> list[str]:
    """A table of metrics, each with the members of A and B by seed and their comparison; and what it can show."""
    heads = ("metric", "pairs", "A", "B", "B - A", "95 % interval", "not excluded", "p", "verdict")
    rows: list[tuple[str, ...]] = [heads]
    for metric, sides, found in compared:
        pairs = [seed for seed, value in sides[0].items() if value is not None and sides[1].get(seed) is not None]
        means = [metric.value(sum(side[seed] or 0.0 for seed in pairs) / len(pairs)) for side in sides]
        ends = (found.low, found.high), (found.excluded_below, found.excluded_above)
        intervals = [NONE if None in each else " to ".join(map(metric.value, each)) for each in ends]
        p = NONE if found.p is None else f"{found.p:.4f}"
        cells = (metric.name, str(found.pairs), *means, metric.value(found.difference), *intervals, p, found.verdict)
        rows.append(cells)
    several = f"each metric is tested separately: p is not corrected for {len(compared)} tests"
    return [table(rows), *_notes(compared[0][2], compared[0][0]), several]


def _score(member: dict[str, Any], split: str, metric: str) -> float | None:
    return None if member["failed"] or member[split] is None else member[split][metric]


def _notes(found: comparisons.Comparison, metric: Metric) -> list[str]:
    """What this number of pairs can show."""
    if found.verdict == "one seed":
        return ["one seed in common: the difference may be due to chance; train both with more seeds, --config.seeds=0,1,2,3,4"]
    notes = [found.method]
    if found.left_out:
        notes.append(f"{found.left_out} seeds are left out: a member failed or is in one run only")
    if found.smallest_p:
        notes.append(f"the smallest p attainable with {found.pairs} pairs is {found.smallest_p:.4g}")
    if found.detectable is not None:
        notes.append(f"{found.pairs} pairs detect a difference of {metric.value(found.detectable)} with probability 0.8")
    notes.append("not excluded: effects beyond either end are rejected by a one-sided test, each at 0.05")
    if found.seeds_needed is not None:
        notes.append(f"it takes {found.seeds_needed} pairs to detect a difference of this size with probability 0.8")
    return notes


def _by_example(
    a: RunDirectory, b: RunDirectory, results: Sequence[dict[str, Any]], said: Sequence[Mapping[str, np.ndarray]], task: Any
) -> list[str]:
    if any(known and "correct" not in known for known in said):
        why = f"predictions are not compared by example: those of {results[0]['task']} are not right or wrong"
        return [] if task.ratios else ["", why]  # they are compared by piece of text
    lacking = [_unstored(run, result) for run, result, known in zip((a, b), results, said) if not known]
    if lacking:
        return ["", f"predictions are not compared by example: {'; '.join(lacking)}"]
    places = _places(results)
    shared = [seed for seed in places[0] if seed in places[1]]
    return example_lines({seed: tuple(side["correct"][where[seed]] for side, where in zip(said, places)) for seed in shared})


def _places(results: Sequence[dict[str, Any]]) -> list[dict[int, int]]:
    """For each run, where the members that were tested stand, by seed."""
    return [
        {member["seed"]: place for place, member in enumerate(result["members"]) if member["test"] is not None}
        for result in results
    ]


def _by_block(results: Sequence[dict[str, Any]], said: Sequence[Mapping[str, np.ndarray]], task: Any) -> list[str]:
    """Each metric that is a sum over a count, by pieces of text."""
    lines, places = [], _places(results)
    shared = [seed for seed in places[0] if seed in places[1]]
    for name, total, count in task.ratios:
        if shared and all({total, count} <= side.keys() for side in said):
            sums = {seed: tuple(side[total][where[seed]] for side, where in zip(said, places)) for seed in shared}
            metric = next(each for each in task.metrics if each.name == name)
            lines += block_lines(Metric(name, metric.share), sums, said[0][count][0], metric.higher_is_better)
    return lines


def block_lines(metric: Metric, sums: Mapping[int, Sequence[np.ndarray]], counts: np.ndarray, higher: bool) -> list[str]:
    """A table of bootstraps over pieces of text, of the sums of A and of B by seed, and of their means over the seeds."""
    heads = ("seed", "A", "B", "B - A", "95 % interval", "verdict")
    rows: list[tuple[str, ...]] = [heads]
    each: dict[str, Sequence[np.ndarray]] = {str(seed): pair for seed, pair in sums.items()}
    if len(each) > 1:
        each["mean"] = np.mean(list(sums.values()), axis=0)
    for seed, (a, b) in each.items():
        found = by_block.bootstrap(a, b, counts)
        ends = NONE if found.low is None else f"{metric.value(found.low)} to {metric.value(found.high)}"
        means = map(metric.value, (found.a, found.b, found.difference))
        rows.append((seed, *means, ends, found.verdict(higher_is_better=higher)))
    pieces = int(np.count_nonzero(counts))
    few = f"; {pieces} are few, and the intervals too narrow" if pieces < by_block.FEW else ""
    return [
        "",
        f"{metric.words} by piece of test, a pair of trained models in each row:",
        table(rows),
        f"intervals are of a bootstrap over the {pieces} pieces of text that test has: they say nothing of other seeds{few}",
    ]


def example_lines(right: Mapping[int, Sequence[np.ndarray]]) -> list[str]:
    """A table of McNemar's tests, of whether A and whether B is right on each example, by seed."""
    heads = ("seed", "both right", "only A", "only B", "neither", "McNemar's p", "shared errors", "expected", "consistency")
    rows: list[tuple[str, ...]] = [heads]
    for seed, answers in right.items():
        test, shared = by_example.mcnemar(*answers), by_example.shared_errors(*answers)
        consistency = NONE if shared.consistency is None else f"{shared.consistency:.2f}"
        counts = (test.both, test.only_a, test.only_b, test.neither)
        rows.append((str(seed), *map(str, counts), f"{test.p:.4f}", str(shared.shared), f"{shared.expected:.1f}", consistency))
    return ["", "by example of test, a pair of trained models in each row:", table(rows)]


def _unstored(run: RunDirectory, result: dict[str, Any]) -> str:
    """Why a run has not stored which examples of test it has right."""
    if result["summary_split"] == "test":
        return f"{run.path} has not stored them"
    return f"{run.path} has no labelled test split" if result.get("tested", True) else f"{run.path} is of a search, not tested"
