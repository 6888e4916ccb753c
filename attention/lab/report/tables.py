"""The tables of a report, independent of the form they are written in."""

import json
from collections.abc import Callable, Mapping, Sequence

from attention.data.contracts import LENGTHS
from attention.lab import against_rival, analysis
from attention.lab.against_rival import Against
from attention.lab.analysis import Agreement, Grid, Standing
from attention.lab.comparisons import Comparison
from attention.lab.costs import Cost
from attention.lab.plan import BEYOND
from attention.lab.report import numbers
from attention.lab.report.numbers import NONE, SIGNS, Metric
from attention.lab.report.parts import INTERVAL, Cell, Head, Table
from attention.lab.results import Results

_EXCLUDED = ("excluded_below", "excluded_above")


def verdict_table(results: Results, found: Sequence[Standing]) -> Table:
    """The variants with their differences from the baseline, verdict by verdict, in the order of the sweep."""
    sweep, metric = results.sweep, Metric.of(results.sweep)
    split, beside = scored_on(results), {one.name: one for one in against_rival.against(results)}
    heads = [
        Head("variant", number=False),
        Head("verdict", "better or worse where the 95 % interval leaves out 0", number=False),
        Head("members", "finished, of those requested", plain=("finished", "requested"), aside=bool(beside)),
        Head(metric.title, f"mean over the finished members, on {split}"),
        Head("sd", "sample standard deviation over members", joins=" ± "),
        Head("difference", f"mean over seeds of variant - {sweep['baseline']}{metric.in_unit}"),
        Head("95 % interval", "over seeds, for all differences of the table together", plain=INTERVAL, joins=" "),
        Head("over other texts", "the same over seeds and texts of test", plain=("low_95_texts", "high_95_texts"), aside=True),
        Head("not excluded", "where undecided: effects beyond are excluded by one-sided tests", plain=_EXCLUDED, aside=True),
        Head("p (corrected)", "for the number of comparisons; at most 0.05 where the verdict is better or worse"),
        Head("detectable", "the difference that this number of seeds detects with probability 0.8", aside=True),
        Head("seeds needed", "to detect the observed difference with probability 0.8; a rough guide", aside=True),
    ]
    if beside:
        heads.insert(
            2, Head("beside the rival", "better or no better where the interval of the difference leaves out 0", number=False)
        )
    better = "higher" if sweep["higher_is_better"] else "lower"
    caption = f"{metric.title} on {split}, compared with the baseline “{sweep['baseline']}”; {better} is better"
    rows = [
        [*cells[:2], *([_beside(beside.get(one.name))] if beside else []), *cells[2:]]
        for one in analysis.by_verdict(found)
        for cells in [_verdict_row(one, metric, sweep["baseline"])]
    ]
    return Table("verdicts", caption, heads, rows)


def _verdict_row(one: Standing, metric: Metric, baseline: str) -> list[Cell]:
    base = one.name == baseline
    c = one.comparison or Comparison(0, 0, verdict="baseline" if base else "no pair")
    wider = one.over_texts if isinstance(one.over_texts, tuple) else (None, None)
    return [
        Cell(one.name),
        Cell(verdict(c), mark=c.verdict),
        Cell(f"{one.finished} of {len(one.members)}", one.finished, other=len(one.members)),
        Cell(metric.value(one.mean), one.mean),
        Cell(metric.value(one.spread), one.spread),
        Cell(metric.difference(c.difference), c.difference),
        _interval(metric, c.low, c.high),
        _interval(metric, *wider),
        _not_excluded(metric, c),
        Cell(numbers.p_value(c.adjusted), c.adjusted),
        Cell(metric.value(c.detectable), c.detectable),
        Cell(numbers.seeds(c.seeds_needed), c.seeds_needed),
    ]


def _beside(found: Against | None) -> Cell:
    return Cell(NONE) if found is None else Cell(found.verdict, mark="better" if found.verdict == against_rival.BETTER else "")


def rival_table(results: Results) -> Table | None:
    """The variants beside the rival; None where there is none."""
    found, metric = against_rival.against(results), Metric.of(results.sweep)
    if not found:
        return None
    heads = [
        *(Head("variant", number=False), Head("beside the rival", number=False), Head("rival", number=False)),
        Head("score of the rival", f"{metric.title} on {scored_on(results)}"),
        Head("members", "with a score, and a rival with one"),
        Head("difference", f"mean of the members less the rival's score{metric.in_unit}"),
        Head("95 % interval", "for all variants together", plain=INTERVAL, joins=" "),
        Head("over", "what the interval takes for a sample", number=False),
    ]
    rows = [
        [
            *(Cell(one.name), _beside(one), Cell(one.rival)),
            Cell(metric.value(one.score), one.score),
            Cell(str(one.members), one.members),
            Cell(metric.difference(one.difference), one.difference),
            _interval(metric, one.low, one.high),
            Cell(NONE if one.low is None else "seeds and texts" if one.of_texts else "seeds"),
        ]
        for one in found
    ]
    return Table("rival", f"{metric.title} beside the rival, which is fitted once", heads, rows)


def _interval(metric: Metric, low: float | None, high: float | None) -> Cell:
    return Cell(metric.interval(low, high), low, other=high)


def _not_excluded(metric: Metric, c: Comparison) -> Cell:
    """Of what is better or worse the interval says it all."""
    decided = c.verdict in ("better", "worse")
    return _interval(metric, *((None, None) if decided else (c.excluded_below, c.excluded_above)))


def pair_table(results: Results, found: Mapping[tuple[str, str], Comparison]) -> Table:
    """Every two variants."""
    metric = Metric.of(results.sweep)
    heads = [Head("variant", number=False), Head("against", number=False)]
    heads += [Head("verdict", "of the variant, against the other", number=False), Head("difference", "variant - the other")]
    heads += [Head("95 % interval", "over seeds, for all pairs of the table together", plain=INTERVAL, joins=" ")]
    heads += [Head("not excluded", "effects beyond are excluded", plain=_EXCLUDED)]
    heads += [Head("p (corrected)", "for the number of pairs")]
    rows = [
        [
            Cell(b),
            Cell(a),
            Cell(verdict(c), mark=c.verdict),
            Cell(metric.difference(c.difference), c.difference),
            _interval(metric, c.low, c.high),
            _not_excluded(metric, c),
            Cell(numbers.p_value(c.adjusted), c.adjusted),
        ]
        for (a, b), c in found.items()
    ]
    return Table("pairs", f"Every two variants compared by {metric.title} on {scored_on(results)}", heads, rows)


def verdict(found: Comparison) -> str:
    """``▲ better``."""
    return f"{SIGNS[found.verdict]} {found.verdict}" if found.verdict in SIGNS else found.verdict


def splits(results: Results) -> str:
    """The split that was scored: "test" or "validation", or both; that would have been where no member finished."""
    known = [row["split"] for row in results.rows if row["phase"] == "final" and row["status"] == "finished"]
    return " and ".join(dict.fromkeys(known)) or results.sweep["split"]


def scored_on(results: Results) -> str:
    """The split of the metric that variants are compared by."""
    return LENGTHS if results.sweep["metric"] == BEYOND else splits(results)


def metric_table(results: Results, found: Sequence[Standing]) -> Table:
    """The other metrics, and how each comparison was made."""
    others = [name for name in analysis.defined(results) if name != results.sweep["metric"]]
    metrics = [Metric.of(results.sweep, name) for name in others]
    heads = [Head("variant", number=False), *(Head(metric.title, "mean over the finished members") for metric in metrics)]
    unseen = analysis.clean(results)
    own = Metric.of(results.sweep)
    heads += [Head(f"clean {own.title}", "on the texts of test that are neither in train nor in validation")] if unseen else []
    heads += [Head("effect d_z", "difference divided by the standard deviation of the paired differences")]
    heads += [Head("pairs", "seeds that both finished"), Head("left out", "seeds that one did not finish")]
    heads += [Head("p", "two-sided, not corrected"), Head("test", "of p, and behind the intervals", number=False)]
    rows = []
    for one in found:
        c = one.comparison or Comparison(0, 0)
        cells = [Cell(one.name), *(Cell(each.value(one.others[each.name]), one.others[each.name]) for each in metrics)]
        cells += [Cell(own.value(unseen[2][one.name]), unseen[2][one.name])] if unseen else []
        cells += [Cell(NONE if c.effect is None else f"{c.effect:+.2f}", c.effect)]
        cells += [Cell(NONE if one.comparison is None else str(number), number) for number in (c.pairs, c.left_out)]
        cells += [Cell(numbers.p_value(c.p), c.p), Cell(NONE if c.p is None else c.method)]
        rows.append(cells)
    return Table("metrics", f"Other metrics on {splits(results)}, and the test of each difference", heads, rows)


def ledger_table(ledger: Sequence[Cost]) -> Table:
    """The cost of each variant."""
    heads = [
        Head("variant", number=False),
        Head("parameters", "of one member"),
        Head("operations per example", "floating-point, forward and backward, at the longest padded length"),
        Head("ms per update", "of one member, without compilation; median over members", plain=("seconds_per_update",)),
        Head("processor ms per update", "of one member, over all cores; median over members", plain=("processor_seconds",)),
        Head("training per member", "all updates, without compilation; median over members", plain=("training_seconds",)),
        Head("state per member", "weights, optimizer and batch", plain=("state_bytes",)),
        Head("work memory", "of the program during an update", plain=("work_bytes",)),
        Head("examples seen", "in training, by all members"),
        Head("trials", "of the search, the same for each variant"),
        Head("updates in trials", "made in trials"),
        Head("total time", "of finished members and trials, with compilation", plain=("total_seconds",)),
        Head("kernel", "that computed attention", number=False),
    ]
    rows = [
        [
            Cell(one.name),
            Cell(numbers.count(one.parameters), one.parameters),
            Cell(numbers.operations(one.flops), one.flops),
            _time(numbers.milliseconds, one.update_seconds, one),
            Cell(numbers.milliseconds(one.process_seconds), one.process_seconds),
            _time(numbers.time, one.member_seconds, one),
            Cell(numbers.memory(one.state_bytes), one.state_bytes),
            Cell(numbers.memory(one.work_bytes), one.work_bytes),
            Cell(numbers.count(one.examples), one.examples),
            Cell(str(one.trials), one.trials),
            Cell(numbers.count(one.trial_updates), one.trial_updates),
            _time(numbers.time, one.seconds, one),
            Cell(one.kernel or NONE),
        ]
        for one in ledger
    ]
    unknown = [] if any(one.trials for one in ledger) else ["trials", "updates in trials"]
    unknown += [] if any(one.process_seconds for one in ledger) else ["processor ms per update"]
    if unknown:
        kept = [place for place, head in enumerate(heads) if head.text not in unknown]
        heads, rows = [heads[place] for place in kept], [[row[place] for place in kept] for row in rows]
    return Table("ledger", "Cost of each variant; times and memory were measured on the machine below", heads, rows)


def _time(written: Callable[[float | None], str], seconds: float | None, cost: Cost) -> Cell:
    """A time, or the word why there is none."""
    return Cell("busy" if seconds is None and cost.busy else written(seconds), seconds)


def interaction_table(results: Results, found: Grid) -> Table:
    """The effect of two changes together beyond the sum of each alone."""
    metric = Metric.of(results.sweep)
    heads = [
        Head("cell", number=False),
        Head("interaction"),
        Head("95 % interval", plain=INTERVAL, joins=" "),
        Head("p"),
        Head("p (corrected)"),
    ]
    heads += [Head("verdict", "better: the two changes together help more than the sum of each alone", number=False)]
    heads += [Head("pairs", "seeds that all four finished"), Head("left out")]
    rows = [
        [
            Cell(", ".join(cell)),
            Cell(metric.difference(c.difference), c.difference),
            _interval(metric, c.low, c.high),
            Cell(numbers.p_value(c.p), c.p),
            Cell(numbers.p_value(c.adjusted), c.adjusted),
            Cell(verdict(c), mark=c.verdict),
            Cell(str(c.pairs), c.pairs),
            Cell(str(c.left_out), c.left_out),
        ]
        for cell, c in found.contrasts.items()
    ]
    a0, b0 = found.baseline
    return Table(
        "interactions", f"v[a, b] - v[{a0}, b] - v[a, {b0}] + v[{a0}, {b0}] of {metric.words}{metric.in_unit}", heads, rows
    )


def agreement_table(results: Results, found: Sequence[Agreement]) -> Table:
    """The errors shared with the baseline."""
    heads = [Head("variant", number=False), Head("pairs"), Head("shared errors, %", "2 shared / (errors of both)")]
    heads += [Head("if independent, %", "expected of independent models with the same accuracies")]
    heads += [Head("consistency", "kappa of right and wrong: 1 if the same examples are wrong, 0 if independent")]
    base, rows = results.sweep["baseline"], []
    for place, one in enumerate(found):
        # the first entry may be the baseline compared with itself
        name = f"{base}, pairs of its seeds" if one.name == base and place == 0 else one.name
        shares = [Cell(NONE if x is None else f"{100 * x:.1f}", x) for x in (one.share, one.expected)]
        kappa = Cell(NONE if one.consistency is None else f"{one.consistency:.3f}", one.consistency)
        rows.append([Cell(name), Cell(str(one.pairs), one.pairs), *shares, kappa])
    caption = f"Errors on test shared with the {base} member of the same seed, means over pairs"
    return Table("agreement", caption, heads, rows)


def length_table(results: Results) -> Table | None:
    """Accuracy by length, means over members."""
    found = analysis.lengths(results)
    if found is None:
        return None
    trained, by_name = found
    places = sorted({(one.above, one.up_to) for ranges in by_name.values() for one in ranges})
    heads = [Head("variant", number=False), *(_range(above, up_to, trained) for above, up_to in places)]
    rows = []
    for name, ranges in by_name.items():
        known = {(one.above, one.up_to): one for one in ranges}
        cells = [Cell(name)]
        for place in places:
            one = known.get(place)
            mean = None if one is None or one.undefined else one.mean
            text = "undefined" if one is not None and one.undefined else NONE if mean is None else f"{100 * mean:.2f}"
            cells.append(Cell(text, mean))
        rows.append(cells)
    return Table("lengths", f"Accuracy, %, by length in symbols; trained up to length {trained}", heads, rows)


def _range(above: int, up_to: int, trained: int) -> Head:
    meaning = "beyond training" if up_to > trained else "seen in training"
    return Head(f"{above + 1}-{up_to}", meaning, plain=(f"accuracy_{above + 1}_to_{up_to}",))


def trial_table(results: Results) -> Table:
    """The trials of the search."""
    metric = Metric.of(results.sweep)
    fields = list(results.sweep["search"]["ranges"])
    heads = [Head("variant", number=False), *(Head(field, results.sweep["search"]["ranges"][field]) for field in fields)]
    heads += [Head(f"validation {metric.title}"), Head("updates"), Head("note", number=False)]
    rows = []
    for row in results.rows:
        if row["phase"] == "search":
            drawn = json.loads(row["drawn"])
            value = analysis.value(row, metric.name, "validation")
            cells = [Cell(row["variant"]), *(Cell(f"{drawn[field]:g}", drawn[field]) for field in fields)]
            cells += [Cell(metric.value(value), value), Cell(numbers.count(row["updates"]), row["updates"])]
            final = analysis.rows(results, row["variant"])
            chosen = "chosen" if any(json.loads(one["drawn"]) == drawn for one in final) else ""
            status = "" if row["status"] == "finished" else row["status"]
            rows.append([*cells, Cell(", ".join(filter(None, (status, row["reason"], chosen))))])
    return Table("trials", "Trials of the search, one seed each; the one that is best on validation is chosen", heads, rows)


def failure_table(results: Results) -> Table:
    """Members and trials without a score, and variants that were left out, with the reason."""
    heads = [Head(text, number=text == "seed") for text in ("variant", "seed", "phase", "status", "reason")]
    rows = [
        [Cell(one.name), Cell(str(one.seed), one.seed), Cell(one.phase), Cell(one.status), Cell(one.reason)]
        for one in analysis.failures(results)
    ]
    rows += [[Cell(name), Cell(NONE), Cell(NONE), Cell("left out"), Cell(reason)] for name, reason in results.sweep["dropped"]]
    return Table("failures", "Members without a score, and variants that could not be built", heads, rows, sortable=False)
