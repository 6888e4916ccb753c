"""What a report says of the differences: the verdicts, what is excluded, the intervals in words, and what could be found."""

from collections.abc import Sequence

from attention.lab import analysis, paired_tests
from attention.lab.analysis import Outlook, Standing
from attention.lab.comparisons import Comparison
from attention.lab.report import numbers
from attention.lab.report.numbers import Metric
from attention.lab.results import Results


def findings(results: Results, found: Sequence[Standing]) -> list[str]:
    """The verdicts in sentences."""
    base = results.sweep["baseline"]
    compared = [one for one in found if one.comparison is not None]
    if not compared:
        failed = f"No member of the baseline “{base}” has a score, so nothing can be compared with it."
        return [failed if len(found) > 1 else "There is only one variant, so there is nothing to compare."]
    metric = Metric.of(results.sweep)
    by_verdict = lambda verdict: [one.name for one in compared if one.comparison and one.comparison.verdict == verdict]
    said = []
    for verdict, words in (
        ("better", "Better than the baseline"),
        ("worse", "Worse than the baseline"),
        ("equivalent", f"Equivalent to the baseline{_margin(results)}"),
        ("no pair", "No seed in common with the baseline that both finished"),
    ):
        if names := by_verdict(verdict):
            said.append(f"{words}: {named(names)}.")
    undecided = [one for one in compared if one.comparison and one.comparison.verdict == "not distinguishable"]
    if undecided:
        known = [f"{named([one.name])} ({excluded(results, one.comparison)})" for one in undecided if one.comparison]
        said.append(f"Not distinguishable from the baseline, and what can be excluded{metric.in_unit}: {'; '.join(known)}.")
    said += _of_texts(compared)
    single = by_verdict("one seed")
    if single and len(single) == len(compared):
        said.append("One seed: no verdict. The differences may be due to chance.")
    elif single:
        said.append(f"No verdict, because only one seed finished: {named(single)}.")
    return said


def _of_texts(compared: Sequence[Standing]) -> list[str]:
    """Which verdicts hold for these texts of test alone, and for which it cannot be told."""
    decided = [one for one in compared if one.comparison and one.comparison.verdict in ("better", "worse")]
    here = [one.name for one in decided if isinstance(one.over_texts, tuple) and one.over_texts[0] <= 0 <= one.over_texts[1]]
    said = []
    if here:
        said.append(f"On these texts of test, but not shown for other texts of the kind: {named(here)}.")
    reasons: dict[str, list[str]] = {}
    for one in compared:
        if isinstance(one.over_texts, str) and one.comparison and one.comparison.low is not None:
            reasons.setdefault(one.over_texts, []).append(one.name)
    for reason, names in reasons.items():
        of = "" if len(names) == len(compared) else f" of {named(names)}"
        said.append(f"How sure the differences{of} are over other texts cannot be told: {reason}.")
    return said


def _margin(results: Results) -> str:
    margin = results.sweep["margin"]
    metric = Metric.of(results.sweep)
    return "" if margin is None else f" within ±{metric.value(margin)}{metric.unit}"


def excluded(results: Results, found: Comparison) -> str:
    """The effects that one-sided tests exclude: ``no effect above +0.90 or below −0.20``."""
    low, high, metric = found.excluded_below, found.excluded_above, Metric.of(results.sweep)
    if low is None or high is None:
        return "nothing, because the seeds show no spread" if found.effect is None else "nothing, with so few seeds"
    return f"no effect above {metric.signed(high)} or below {metric.signed(low)}"


def aloud(results: Results, found: Sequence[Standing]) -> list[tuple[str, str]]:
    """The differences in words: pairs of a variant and what its intervals say."""
    metric, shown = Metric.of(results.sweep), [one for one in analysis.by_verdict(found) if one.comparison is not None]
    return [(one.name, _aloud(results, one, one.comparison, metric)) for one in shown if one.comparison is not None]


def _aloud(results: Results, one: Standing, c: Comparison, metric: Metric) -> str:
    if c.difference is None:
        return "no seed in common with the baseline that both finished."
    said = [f"{metric.words} is {_beside(c.difference, metric)} that of “{results.sweep['baseline']}”"]
    if c.low is None or c.high is None:
        return f"{said[0]} in {_seeds(c.pairs)}, from which no interval can be given."
    together = f" for all {c.comparisons} comparisons together" if c.comparisons > 1 else ""
    said[0] += f"; with 95 % confidence{together}, the true difference"
    said[0] += f" lies between {metric.signed(c.low)} and {metric.signed(c.high)}"
    if isinstance(one.over_texts, tuple):
        said[0] += " ({} and {} if the texts of test are a sample too)".format(*map(metric.signed, one.over_texts))
    if c.verdict not in ("better", "worse"):
        said.append(f"By one-sided tests, {excluded(results, c)}")
    if c.margin is not None:
        said.append(_of_margin(results, c, metric))
    return f"{'. '.join(said)}."


def _beside(difference: float, metric: Metric) -> str:
    if not difference:
        return "the same as"
    return f"{metric.value(abs(difference))}{metric.unit} {'above' if difference > 0 else 'below'}"


def _seeds(count: int) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _of_margin(results: Results, c: Comparison, metric: Metric) -> str:
    """Whether a difference is shown to be within the margin, or what is missing."""
    if c.within_margin:
        return f"So the difference is shown to be{_margin(results)}"
    margin, low, high = c.margin or 0.0, c.excluded_below, c.excluded_above
    beyond = [metric.signed(end) for end in (low, high) if end is not None and abs(end) >= margin]
    reach = f": effects up to {' and '.join(beyond)} are not excluded" if beyond else ""
    enough = f"; if there is none, about {numbers.seeds(c.seeds_for_margin)} seeds would show it" if c.seeds_for_margin else ""
    return f"It is not shown to be{_margin(results)}{reach}{enough}"


def named(names: Sequence[str]) -> str:
    """A list of names, quoted: one may be called none."""
    return "; ".join(f"“{name}”" for name in names)


def power(results: Results, seen: Outlook) -> list[str]:
    """What this number of seeds could have shown, and how many would show more."""
    metric = Metric.of(results.sweep)
    if seen.smallest is None or seen.corrected is None:
        return ["No test: it takes at least two finished seeds of the baseline and of another variant."]
    if seen.smallest == 0:
        said = [f"With {seen.pairs} pairs a t-test has no lower bound on p."]
    else:
        corrected = f"{numbers.p_value(seen.corrected)} after correction for {_comparisons(seen.comparisons)}"
        said = [f"Smallest attainable p with {seen.pairs} pairs: {numbers.p_value(seen.smallest)}; {corrected}."]
    if seen.detectable is not None:
        low, high = (metric.value(size) for size in seen.detectable)
        sizes = f"{low}{metric.unit}" if low == high else f"{low} to {high}{metric.unit}, depending on the variant,"
        said.append(f"Differences of {sizes} would have been detected with probability {paired_tests.POWER}.")
    if seen.nearest is not None:
        name, seeds = seen.nearest
        said.append(
            f"Of the variants that are not distinguishable, {named([name])} needs the fewest seeds to confirm its observed"
            f" difference: about {seeds:,}."
        )
    return said


def _comparisons(count: int) -> str:
    return f"{count} comparison" if count == 1 else f"{count} comparisons"


def reading(results: Results) -> str:
    """One paragraph on how to read the verdicts."""
    base, level = results.sweep["baseline"], paired_tests.LEVEL
    return (
        f"Each difference is that of a variant minus the baseline “{base}”, paired by seed and averaged: members with the same"
        " seed share the order of the examples and the draws of dropout. The 95 % intervals hold for all variants of the table"
        " together; a variant is better or worse exactly where its interval over seeds leaves out 0, which is where its p times"
        f" the number of comparisons is at most {level}. Over other texts: what to expect of other seeds on other texts of the"
        " kind; the verdict is for these texts. Not distinguishable does not mean equal: of such a variant, effects outside of"
        " what is “not excluded” are ruled out, those inside are not. The order within a verdict is that of the sweep and says"
        " nothing. Detectable is the difference that this number of seeds would have detected. The verdicts say nothing about"
        " other data sets."
    )
