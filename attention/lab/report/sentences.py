"""The sentences of a report: what was found, what it could have shown, how it was computed, and how to have it again."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from attention.lab import analysis, paired_tests
from attention.lab.analysis import Grid, Outlook, Standing
from attention.lab.report import numbers, tables
from attention.lab.report.numbers import Metric
from attention.lab.results import Results
from attention.training import config as configs

YARDSTICK = "The first row is the yardstick: how often two seeds of the baseline itself err on the same examples."
AGAIN = (
    "Data, seeds and config decide the numbers: the same versions on the same CPU with as many cores give them again to the"
    " bit; elsewhere they differ by rounding, which training magnifies. For each member there is the command that scores its"
    " weights again, where it finished, and the command that trains it anew by itself. The figures lie in {folder} as SVG and"
    " PNG, the rows in results.parquet; report.html, report.md and table.tex are made of these rows alone."
)


def title(results: Results) -> str:
    """The heading."""
    return f"Sweep {results.sweep['name']}"


def subject(results: Results) -> str:
    """What is compared with what."""
    sweep, metric = results.sweep, Metric.of(results.sweep)
    seeds = len(sweep["seeds"])
    what = f"{len(sweep['variants'])} variants, {seeds} {'seed' if seeds == 1 else 'seeds'} each"
    sources = dict.fromkeys(json.loads(row["config"])["data"]["source"] for row in results.rows)
    of = f" of {next(iter(sources))}" if len(sources) == 1 else ""
    return f"{what}, compared with the baseline “{sweep['baseline']}” by {metric.words} on {tables.splits(results)}{of}."


def findings(results: Results, found: Sequence[Standing]) -> list[str]:
    """The verdicts in sentences."""
    base = results.sweep["baseline"]
    compared = [one for one in found if one.comparison is not None]
    if not compared:
        failed = f"No member of the baseline “{base}” has a score: nothing can be compared with it."
        return [failed if len(found) > 1 else "There is one variant: nothing to compare."]
    said = []
    for verdict, words in (
        ("better", "Better than the baseline"),
        ("worse", "Worse than the baseline"),
        ("not distinguishable", "Not distinguishable from the baseline"),
        ("no pair", "Without a seed for which both it and the baseline finished"),
    ):
        names = [one.name for one in compared if one.comparison and one.comparison.verdict == verdict]
        if names:
            said.append(f"{words}: {_named(names)}.")
    single = [one.name for one in compared if one.comparison and one.comparison.verdict == "one seed"]
    if single and len(single) == len(compared):
        said.append("One seed: no ranking and no verdict. The differences may be those of chance.")
    elif single:
        said.append(f"Without a verdict, for one seed alone finished: {_named(single)}.")
    return said


def _named(names: Sequence[str]) -> str:
    """Names one after another; one with a comma of its own stands in quotation marks."""
    return "; ".join(f"“{name}”" if ", " in name else name for name in names)


def power(results: Results, seen: Outlook) -> list[str]:
    """What so many seeds could have shown, and how many it would take."""
    metric = Metric.of(results.sweep)
    if seen.smallest is None or seen.corrected is None:
        return ["Smallest attainable p: none, a test wants two seeds or more that finished."]
    least = "a t-test has none" if seen.smallest == 0 else numbers.p_value(seen.smallest)
    line = f"Smallest attainable p with {seen.pairs} pairs: {least}"
    if seen.smallest:
        line += f"; {numbers.p_value(seen.corrected)} after correction for {_comparisons(seen.comparisons)}"
    said = [f"{line}."]
    if seen.corrected > paired_tests.LEVEL:
        said.append(f"That is above {paired_tests.LEVEL}: whatever the differences, a verdict needs {seen.fewest} seeds.")
    if seen.detectable is not None:
        low, high = (metric.value(size) for size in seen.detectable)
        sizes = f"{low}{metric.unit}" if low == high else f"{low} to {high}{metric.unit}, by variant,"
        said.append(f"Differences of {sizes} would have been found with a chance of {paired_tests.POWER}.")
    if seen.nearest is not None:
        name, seeds = seen.nearest
        said.append(
            f"Of those not distinguishable, {_named([name])} wants fewest seeds for its observed difference: about {seeds:,}."
        )
    return said


def _comparisons(count: int) -> str:
    return f"{count} comparison" if count == 1 else f"{count} comparisons"


def warnings(results: Results, found: Sequence[Standing]) -> list[str]:
    """What a reader must know before the numbers: failed members, other data, scores of validation."""
    said = []
    lost = [
        f"{_named([one.name])} {one.failed + one.missing} of {len(one.members)}" for one in found if one.failed or one.missing
    ]
    if lost:
        said.append(
            f"Members without a score: {'; '.join(lost)}. Their pairs are left out: what is left does not show that a variant"
            " that fails is as good."
        )
    if any(json.loads(row["environment"]).get("git_dirty") for row in results.rows if row["environment"]):
        said.append("The code had changes that were not committed: the commit below does not have them.")
    if len(analysis.tested_on(results)) > 1:
        said.append("The members were not all tested on the same data: their differences are of the data too.")
    if "validation" in tables.splits(results):
        said.append("There is no labelled test split. Scores are of validation, by which the best weights were chosen too.")
    shown = [f"{name} {100 * value:.2f}" for name, value in _trivial(results).items()]
    if shown:
        said.append(f"Accuracy of trivial rules on test, %: {', '.join(shown)}.{_below(results, found)}")
    return said


def _below(results: Results, found: Sequence[Standing]) -> str:
    """Which variants are no better than the best trivial rule, where that can be told."""
    if results.sweep["metric"] != "accuracy":
        return ""
    best = max(_trivial(results).values())
    names = [one.name for one in found if one.mean is not None and one.mean <= best]
    return f" No better than the best of these: {_named(names)}." if names else ""


def _trivial(results: Results) -> dict[str, float]:
    known = [row["baselines"] for row in results.rows if row["phase"] == "final" and row["baselines"]]
    return known[0] if known and all(one == known[0] for one in known) else {}


def no_interactions(results: Results, grid: Grid) -> str:
    """Why a sweep of two axes has none."""
    if grid.lacking:
        return f"Interactions want a full grid; it lacks {_named(grid.lacking)}."
    if min(map(len, grid.axes)) < 2:
        return "Interactions want two values or more on each axis."
    return f"Interactions want members of {results.sweep['baseline']} that finished; there are none."


def budget(results: Results) -> str:
    """What was searched."""
    search = results.sweep["search"]
    ranges = ", ".join(f"{field} from {text}" for field, text in search["ranges"].items())
    times = "once" if search["halvings"] == 1 else f"{search['halvings']} times"
    halved = f", the worse half stopped {times}" if search["halvings"] else ""
    return (
        f"Each variant had {search['trials']} trials{halved}, with the same draws of seed {search['seed']}: {ranges}. The trial"
        " that validated best gave its values to the members, which have other seeds."
    )


def reading(results: Results) -> str:
    """One paragraph on how to read the verdicts."""
    base = results.sweep["baseline"]
    return (
        f"Each difference is the mean over seeds of a variant less the baseline “{base}”, taken seed by seed: members of one"
        " seed share the order of the examples and the draws of dropout. A variant is better or worse where its p-value,"
        f" after Holm's correction over all variants of the table, is {paired_tests.LEVEL} or less. The interval covers 95 %"
        " and is of one difference alone, so that it may exclude 0 where the verdict is not distinguishable. Not"
        " distinguishable is absence of evidence: it does not say that two variants are equally good. The column detectable"
        " says which differences so many seeds would have found. The seeds are the sample: other data is another question."
    )


def methods(results: Results) -> list[tuple[str, str]]:
    """How each number was computed: pairs of a word and what it means."""
    better = "greater" if results.sweep["higher_is_better"] else "smaller"
    level, flips = paired_tests.LEVEL, f"{paired_tests.FLIPS:,}"
    return [
        ("Score", f"of the weights that validated best, on {tables.splits(results)}; {better} is better."),
        ("Pairing", "by seed. A seed for which a member failed or is missing is left out, and counted."),
        ("p, 2 to 9 pairs", "paired t-test, two-sided; exact where the differences are normal."),
        (
            "p, 10 pairs or more",
            f"sign flips, all of them up to 16 pairs and {flips} drawn beyond; exact where the differences are symmetric about"
            " 0 under the null. The smallest p of n pairs is 2^(1-n).",
        ),
        ("95 % interval", "Student-t up to 9 pairs; from 10 on a BCa bootstrap at the level of a t interval."),
        (
            "p (Holm)",
            f"Holm's step-down correction over the variants that have a p: the chance of any false one is {level} at most.",
        ),
        ("Not distinguishable", f"absence of evidence, not evidence of absence: p (Holm) is above {level}. See detectable."),
        (
            "Detectable, seeds needed",
            f"power {paired_tests.POWER} at level {level} over the number of comparisons, with the observed spread taken for"
            " the true one: with few seeds a rough guide.",
        ),
        ("Effect d_z", "the mean of the paired differences over their sample standard deviation."),
        (
            "Interaction",
            "v[a, b] - v[a0, b] - v[a, b0] + v[a0, b0], per seed, tested in the same way, with Holm's correction over the"
            " cells. Better: the two changes together do more good than the sum of each alone.",
        ),
        (
            "Shared errors",
            "2 shared / (errors of both), beside the share of independent runs as good as these; the consistency is Cohen's"
            " kappa of right and wrong. The yardstick is the baseline beside itself, every two of its seeds.",
        ),
        (
            "Operations",
            "of an update, forward and backward, per example, at the longest padded length, as XLA counts them before it"
            " fuses; what loops is counted once.",
        ),
        ("Times and memory", "of the machine below, whose programs train several members: comparable in this report only."),
    ]


def evaluate_command(run: str) -> str:
    """The command that gives the numbers of a row again."""
    return shlex.join(["python", "eval.py", f"--workdir={run}"])


def train_command(config: dict[str, Any]) -> str:
    """The command that trains a member anew: every field that differs from ``configs/base.py``, which has the defaults."""
    plain = json.loads(json.dumps(configs.to_dict(configs.Config())))
    words = ["python", "train.py", "--config=configs/base.py"]
    for section, value in config.items():
        if isinstance(value, dict):
            changed = {name: one for name, one in value.items() if one != plain[section][name]}
            words += [f"--config.{section}.{name}={_flag(one)}" for name, one in changed.items()]
        elif value != plain[section] or section == "seeds":
            words.append(f"--config.{section}={_flag(value)}")
    return shlex.join(words)


def _flag(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
