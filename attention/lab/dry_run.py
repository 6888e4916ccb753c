"""A plan in words: what a sweep would train, in what time, and as commands for a scheduler."""

import shlex
from collections.abc import Sequence

from attention import heartbeat, installation
from attention.lab import estimate
from attention.lab.board import title
from attention.lab.collect import notes
from attention.lab.estimate import Estimate, Range
from attention.lab.plan import Plan, Point
from attention.lab.store import Points, choices, cohort_name
from attention.training.cohort import devices

_COUNTED = 12  # variants, of no more of which parameters and operations are counted: it takes a second for each


def outline(plan: Plan, points: Points | None, *, timed: bool) -> str:
    """The variants, the cohorts, and the time they will take.

    Args:
      plan: the plan.
      points: what there is already; None before anything is.
      timed: whether to count and to time: without it, the cohorts alone.
    """
    sweep = plan.sweep
    trials = plan.trials()
    found = choices(plan, points) if trials and points is not None and not points.pending(trials) else {}
    # Until the search has found values, those of the base config take their place.
    final = plan.points(found or {built.variant.name: {} for built in plan.built})
    lines = [f"{len(plan.built)} variants x {len(sweep.seeds)} seeds, against {sweep.baseline!r} by {sweep.metric}"]
    counts = _counts(plan) if timed else {}
    lines += _variants(plan, counts)
    lines += [f"left out: {name!r} cannot be built: {reason}" for name, reason in plan.dropped]
    for note, names in notes(plan):
        about = "" if len(names) == len(plan.built) else f" of {'; '.join(names)}"
        lines.append(f"note on the data{about}: {note}")
    pending = [*trials, *final] if points is None else points.pending([*trials, *final])
    expected = (
        estimate.estimate(plan, points, {name: flops for name, (_, flops) in counts.items()}) if timed and pending else None
    )
    local = devices.usable()
    keys, stages = {point.key for point in pending}, list[list[Range]]()
    for what, wanted in (("search", trials), ("members", final)):
        if not wanted:
            continue
        cohorts = plan.cohorts(wanted)
        stages.append([])
        waiting = sum(any(point.key in keys for point in cohort) for cohort in cohorts)
        share = len(devices.shares(local, waiting)[-1])  # the least
        lines.append(f"{what}: {len(wanted)} in {len(cohorts)} {'program' if len(cohorts) == 1 else 'programs'}")
        done = sum(point.key not in keys for point in wanted)
        lines[-1] += f", {done} of them already done or failed" if done else ""
        for cohort in cohorts:
            left = [point for point in cohort if point.key in keys]
            named = title(cohort) if sweep.search is None or what == "search" else title(cohort).removesuffix(" of the search")
            lines.append(f"  {cohort_name(cohort)}  {named}{_time(left, expected, stages[-1], share)}")
    if sweep.search is not None:
        drawn = ", ".join(f"{field} from {text}" for field, text in sweep.search.ranges.items())
        lines.append(f"search for each variant, {sweep.search.trials} trials: {drawn}; members use the best on validation")
    if expected is not None:
        total = between(estimate.whole(stages, len(local), len(plan.built)))
        lines.append(f"{total} on {len(local)} {local[0].device_kind}, with nothing beside it ({expected.source})")
    return "\n".join(lines)


def _counts(plan: Plan) -> dict[str, tuple[int, float]]:
    """Parameters and operations per example, by variant; of many variants none."""
    some = plan.built if len(plan.built) <= _COUNTED else ()
    return {built.variant.name: built.counted() for built in heartbeat.each("counting the operations of variant", some)}


def _variants(plan: Plan, counts: dict[str, tuple[int, float]]) -> list[str]:
    """A line for each variant: its updates, and what is counted of it."""
    width = max(len(built.variant.name) for built in plan.built)
    counted = f" {'parameters':>12} {'operations per example':>23}" if counts else ""
    lines = [f"  {'variant':{width}} {'updates':>8}{counted}"]
    for built in plan.built:
        counted = "{:>13,} {:>23.3g}".format(*counts[built.variant.name]) if counts else ""
        lines.append(f"  {built.variant.name:{width}} {built.steps:>8}{counted}")
    return lines


def _time(left: Sequence[Point], expected: Estimate | None, ranges: list[Range], share: int) -> str:
    """What is said of the time of a cohort, of which ``left`` is to be trained on so many devices; notes it in ``ranges``."""
    if not left:
        return ": done"
    if expected is None:
        return ""
    ranges.append(expected.of(left, share))
    return f": {between(ranges[-1])}"


def between(seconds: Range) -> str:
    """A range as people say it: ``20 to 40 s``, ``4 to 9 min``, ``2 to 5 h``.

    Example:
      >>> between(Range(250.0, 520.0))
      '4 to 9 min'
    """
    unit, name = next(
        ((size, name) for size, name in ((86400, "days"), (3600, "h"), (60, "min")) if seconds.high >= 2 * size), (1, "s")
    )
    low, high = seconds.low / unit, seconds.high / unit
    digits = 1 if high < 5 and unit > 1 else 0
    texts = [f"{low:.{digits}f}", f"{high:.{digits}f}"]
    return f"{texts[0]} to {texts[1]} {name}" if texts[0] != texts[1] else f"{texts[1]} {name}"


def export(plan: Plan, workdir: str, arguments: Sequence[str]) -> str:
    """One shell command for each cohort that no search has to wait for, and the one that makes the report.

    Args:
      plan: the plan.
      workdir: of the sweep.
      arguments: the config's flags.
    """
    command = shlex.join([*installation.program("sweep").split(), *arguments, f"--workdir={workdir}"])
    trials = plan.trials()
    wanted = trials or plan.points()
    lines = [
        "#!/bin/sh",
        "# One process per line, in any order or in parallel; the last line when all others have ended.",
        *(f"{command} --only={cohort_name(cohort)}  # {title(cohort)}" for cohort in plan.cohorts(wanted)),
    ]
    lines.append(f"{command}  # {'trains the members with the values found, and ' if trials else ''}makes the report")
    return "\n".join(lines)
