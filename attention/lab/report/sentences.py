"""The sentences of a report beside those on differences: warnings, methods, and commands that reproduce it."""

import json
import shlex
from collections.abc import Sequence

from attention import installation
from attention.lab import against_rival, analysis, paired_tests
from attention.lab.analysis import Grid, Row, Standing
from attention.lab.costs import Cost
from attention.lab.report import tables
from attention.lab.report.differences import named
from attention.lab.report.numbers import Metric
from attention.lab.results import Results
from attention.messages import listed
from attention.training import machine

SHARED_ERRORS = (
    "Models with different errors may gain from ensembling. The first row is for reference: the errors that two seeds of the"
    " baseline itself share."
)
NO_FAILURES = "Every variant could be built, and every member has a score."
WHOLE = "The whole sweep, with the code and the versions above; config_file.txt holds the text of its config file, if any:"
REPRODUCE = (
    "Data, seeds and config determine the numbers. The same versions on the same CPU with the same number of cores reproduce"
    " them bit for bit; elsewhere they differ by rounding, which training amplifies. Below are, for each member that finished,"
    " the command that scores its saved weights and the one that trains it again from its config.json. The figures are in"
    " {figures} as SVG, PDF and PNG, the tables in {tables} as CSV, LaTeX and Markdown, the rows in results.parquet, from"
    " which alone all of them are made."
)


def title(results: Results) -> str:
    """The heading."""
    return results.sweep["title"] or f"Sweep {results.sweep['name']}"


def subject(results: Results) -> str:
    """What is compared with what."""
    sweep, metric = results.sweep, Metric.of(results.sweep)
    seeds = len(sweep["seeds"])
    what = f"{len(sweep['variants'])} variants, {seeds} {'seed' if seeds == 1 else 'seeds'} each"
    sources = dict.fromkeys(json.loads(row["config"])["data"]["source"] for row in results.rows)
    known = results.sweep["data_name"] or (next(iter(sources)) if len(sources) == 1 else "")
    of = f" of {known}" if known else ""
    return f"{what}, compared with the baseline “{sweep['baseline']}” by {metric.words} on {tables.scored_on(results)}{of}."


def beside_rival(results: Results) -> list[str]:
    """Which variants are better than the rival, which are not, and what is not known."""
    found, metric = against_rival.against(results), Metric.of(results.sweep)
    if not found:
        return []
    names: dict[str, list[str]] = {}
    for one in found:
        names.setdefault(f"{one.rival} {metric.value(one.score)}{' %' if metric.share else ''}", []).append(one.name)
    scores = "; ".join(score if len(names) == 1 else f"{score} beside {named(which)}" for score, which in names.items())
    said = [f"The rival's {metric.words} on {tables.scored_on(results)}: {scores}."]
    for verdict in (against_rival.BETTER, against_rival.WORSE):
        which = [one.name for one in found if one.verdict == verdict]
        said += [f"{verdict.capitalize()} than the rival: {named(which)}."] if which else []
    open_ = [f"{named([one.name])} ({_ends(one, metric)})" for one in found if one.verdict == against_rival.UNDECIDED]
    said += [f"Not shown to be better than the rival: {'; '.join(open_)}."] if open_ else []
    single = [one.name for one in found if one.verdict == against_rival.ONE]
    said += [f"One seed, and no verdict beside the rival: {named(single)}."] if single else []
    lost = [f"{named([one.name])} {one.left_out}" for one in found if one.left_out]
    said += [f"Members whose rival has no score: {'; '.join(lost)}."] if lost else []
    return [" ".join(said)]


def _ends(one: against_rival.Against, metric: Metric) -> str:
    """How far from the rival a variant may be."""
    if one.low is None or one.high is None:
        return f"{metric.difference(one.difference)}, without any spread"
    return f"between {metric.signed(one.low)} and {metric.signed(one.high)}"


def warnings(results: Results, found: Sequence[Standing], ledger: Sequence[Cost]) -> list[str]:
    """What a reader must know before the numbers: failed members, different data, scores on validation, notes on the data."""
    said = []
    lost = [
        f"{named([one.name])} {one.failed + one.missing} of {len(one.members)}" for one in found if one.failed or one.missing
    ]
    if lost:
        said.append(
            f"Members without a score: {'; '.join(lost)}. Their pairs are left out; the remaining pairs cannot show that a"
            " variant that fails is as good."
        )
    if any(json.loads(row["environment"]).get("git_dirty") for row in results.rows if row["environment"]):
        said.append("The code had uncommitted changes, which the commit below does not contain.")
    said += [_by_other_sources(**group) for group in results.sweep.get("other_sources", [])]
    if len(analysis.tested_on(results)) > 1:
        said.append("The members were not all tested on the same data, so their differences are partly those of the data.")
    split = tables.splits(results)
    if "validation" in split:
        lacking = "There is no labelled test split." if split == "validation" else "Some variants have no labelled test split."
        said.append(f"{lacking} Scores are on validation, which also selected the best weights.")
    said += [*_of_data(results), *_of_search(results), *_of_times(ledger)]
    metric = Metric.of(results.sweep, _ruled_by(results))
    if shown := [f"{name} {metric.value(value)}" for name, value in _trivial(results).items()]:
        unit = ", %" if metric.share else ""
        what = f"{metric.words.capitalize()} of trivial rules on {split}{unit}"
        said.append(f"{what}: {', '.join(shown)}.{_below(results, found)}")
    return said


def _by_other_sources(members: Sequence[str], files: Sequence[str]) -> str:
    which = f"{listed(members, 4)} {'was' if len(members) == 1 else 'were'}"
    of = f" ({listed(files, 4)})" if files else ""
    return f"{which} trained with other files of the package than the others{of}; --retrain_changed trains such members again."


def _of_data(results: Results) -> list[str]:
    """The notes on the data, and the scores on the clean texts of test."""
    said = []
    for note, names in results.sweep["notes"]:
        about = "" if len(names) == len(results.sweep["variants"]) else f", of {named(names)}"
        said.append(f"On the data{about}: {note}.")
    unseen = analysis.clean(results)
    if unseen is not None:
        count, of, means = unseen
        metric = Metric.of(results.sweep)
        scores = "; ".join(f"{named([name])} {metric.value(mean)}" for name, mean in means.items() if mean is not None)
        what = f"{of - count} of {of} texts of test are also in train or validation"
        said.append(f"{what}. On the other {count}, {metric.title}: {scores}." if scores else f"{what}.")
    return said


def _of_search(results: Results) -> list[str]:
    """Trials whose end says little: those without a score, and those that were stopped for being behind."""
    search, said, lost = results.sweep["search"], [], []
    if search is None:
        return said
    for name in results.sweep["variants"]:
        trials = analysis.rows(results, name, "search")
        failed = sum(row["status"] != "finished" for row in trials)
        lost += [f"{named([name])} {failed} of {len(trials)}"] if failed else []
    if lost:
        said.append(f"Trials of the search without a score: {'; '.join(lost)}. Values were chosen among the others.")
    if search["halvings"]:
        said.append("The search stopped the worse half of the trials early: values that begin slowly may have been lost.")
    return said


def _of_times(ledger: Sequence[Cost]) -> list[str]:
    """Which times are left out, and why."""
    names = [one.name for one in ledger if one.busy]
    if not names:
        return []
    reason = next(one.busy for one in ledger if one.busy)
    return [f"The machine was busy while members of {named(names)} trained ({reason}): their times are left out."]


def _below(results: Results, found: Sequence[Standing]) -> str:
    """Which variants are no better than the best trivial rule, where that can be told."""
    if results.sweep["metric"] != _ruled_by(results):
        return ""
    sign = 1 if results.sweep["higher_is_better"] else -1
    best = max(sign * value for value in _trivial(results).values())
    names = [one.name for one in found if one.mean is not None and sign * one.mean <= best]
    return f" No better than the best of these: {named(names)}." if names else ""


def _ruled_by(results: Results) -> str:
    """The metric of trivial rules; of a sweep of before there was a choice, the first."""
    return results.sweep.get("ruled_by", results.sweep["metrics"][0])


def _trivial(results: Results) -> dict[str, float]:
    known = [row["baselines"] for row in results.rows if row["phase"] == "final" and row["baselines"]]
    return known[0] if known and all(one == known[0] for one in known) else {}


def no_interactions(results: Results, grid: Grid) -> str:
    """Why a sweep of two axes has none."""
    if grid.lacking:
        return f"Interactions need a full grid; missing: {named(grid.lacking)}."
    if min(map(len, grid.axes)) < 2:
        return "Interactions need at least two values on each axis."
    return f"Interactions need finished members of {results.sweep['baseline']}; there are none."


def budget(results: Results) -> str:
    """What was searched."""
    search = results.sweep["search"]
    ranges = ", ".join(f"{field} from {text}" for field, text in search["ranges"].items())
    times = {1: "once", 2: "twice"}.get(search["halvings"], f"{search['halvings']} times")
    halved = f" The worse half was stopped early {times}." if search["halvings"] else ""
    return (
        f"Each variant had the same {search['trials']} trials, drawn with seed {search['seed']}: {ranges}.{halved} The members,"
        " which have other seeds, use the values of the trial that was best on validation."
    )


def outcome(row: Row, metric: Metric) -> str:
    """How a member ended: its score and the update of its best weights, or why it has none."""
    if row["status"] != "finished":
        return f"{row['status']}: {row['reason']}" if row["reason"] else row["status"]
    best = "" if row["best_step"] is None else f", best weights after update {row['best_step']} of {row['updates']}"
    reason = f"; {row['reason']}" if row["reason"] else ""
    return f"{metric.words} {metric.value(analysis.value(row, metric.name))}{best}{reason}"


def methods(results: Results) -> list[tuple[str, str]]:
    """How each number was computed: pairs of a term and its meaning."""
    better = "higher" if results.sweep["higher_is_better"] else "lower"
    level, flips = paired_tests.LEVEL, f"{paired_tests.FLIPS:,}"
    return [
        ("Score", f"with the weights that were best on validation, on {tables.scored_on(results)}; {better} is better."),
        ("Pairing", "by seed. A seed for which a member failed or is missing is left out, and counted."),
        ("p, 2 to 9 pairs", "two-sided paired t-test; exact if the differences are normally distributed."),
        (
            "p, 10 pairs or more",
            f"sign flips: all of them up to 16 pairs, {flips} random ones beyond; exact if the differences are symmetric about"
            " 0 under the null hypothesis. With n pairs the smallest p is 2^(1-n); where that is too large for the number of"
            " comparisons, the t-test.",
        ),
        (
            "p (corrected)",
            f"p times the number of comparisons (Bonferroni): the chance of any false verdict is at most {level}.",
        ),
        (
            "95 % interval",
            f"the differences that the same test does not reject at {level} divided by the number of comparisons: the chance"
            " that all hold is at least 95 %, and one leaves out 0 exactly where the verdict is better or worse.",
        ),
        (
            "Over other texts",
            "the interval over seeds, widened by what the choice of the texts of test adds to the variance: from the mean"
            " squares of a table of seeds and texts that holds which answers are right.",
        ),
        (
            "Not excluded",
            f"two one-sided tests, each at {level} divided by the number of comparisons, reject the effects beyond; whether 0"
            " is excluded, the verdict says (Hsu and others 1994).",
        ),
        (
            "Equivalent",
            "not better or worse, and both ends of what is not excluded lie within the margin that the sweep was given"
            " (Schuirmann 1987).",
        ),
        (
            "Detectable, seeds needed",
            f"for power {paired_tests.POWER} at level {level} divided by the number of comparisons, taking the observed spread"
            " for the true one: a rough guide with few seeds.",
        ),
        ("Effect d_z", "mean of the paired differences divided by their sample standard deviation."),
        (
            "Beside the rival",
            "the mean of the members less the score of the rival, which has no seed, with a Student-t interval at"
            f" {level} divided by the number of variants. Where the answers to each text are known, it is widened by the choice"
            " of the texts as over other texts: what luck the texts bring to the one rival does not cancel.",
        ),
        (
            "Interaction",
            "v[a, b] - v[a0, b] - v[a, b0] + v[a0, b0], per seed, tested in the same way, corrected for the number of"
            " cells. Better: the two changes together help more than the sum of each alone.",
        ),
        (
            "Shared errors",
            "2 shared / (errors of both), beside the share expected of independent models with the same accuracies. Consistency"
            " is Cohen's kappa of right and wrong. The first row compares every two seeds of the baseline.",
        ),
        (
            "Operations",
            "floating-point operations of an update, forward and backward, per example, at the longest padded length, as XLA"
            " counts them before fusion; the body of a loop is counted once.",
        ),
        (
            "Times and memory",
            "measured on the machine below, in programs that train several members: comparable within this report only. A time"
            f" is left out as busy if the process had less than {machine.ENOUGH} cores, or if more than {machine.CROWDED}"
            " threads for each core wanted to run. Processor time is that of the process over all"
            " cores, which others slow less.",
        ),
    ]


def evaluate_command(run: str) -> str:
    """The command that scores the saved weights of a run."""
    return shlex.join([*installation.program("eval").split(), f"--workdir={run}"])


def again_command(run: str, folder: str) -> str:
    """The command that trains the config of a run again, in another folder."""
    config, place = shlex.quote(f"{run}/config.json"), shlex.quote(folder)
    train = installation.program("train")
    return f"mkdir -p {place} && cp {config} {place} && {train} {shlex.quote(f'--workdir={folder}')}"
