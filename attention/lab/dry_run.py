"""A plan in words: what a sweep would train, in what time, and as commands for a scheduler."""

import shlex
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from attention import installation
from attention.lab.board import title
from attention.lab.collect import notes
from attention.lab.execute import choices
from attention.lab.plan import Plan, Point
from attention.lab.store import Points, cohort_name
from attention.training.progress import duration

_COMPILING = 10.0  # seconds for the programs of a cohort, on a few CPU cores


def outline(plan: Plan, points: Points | None) -> str:
    """The variants, the cohorts, and the time they will take, estimated from their operations.

    Args:
      plan: the plan.
      points: what there is already; None before anything is.
    """
    sweep = plan.sweep
    trials = plan.trials()
    found = choices(plan, points) if trials and points is not None and not points.pending(trials) else {}
    # Until the search has found values, those of the base config take their place.
    final = plan.points(found or {built.variant.name: {} for built in plan.built})
    lines = [f"{len(plan.built)} variants x {len(sweep.seeds)} seeds, against {sweep.baseline!r} by {sweep.metric}"]
    width = max(len(built.variant.name) for built in plan.built)
    head = f"  {'variant':{width}} {'parameters':>12} {'operations per example':>23} {'updates':>8}"
    lines.append(head)
    for built in plan.built:
        name = f"{built.variant.name:{width}}"
        lines.append(f"  {name} {built.parameters:>12,} {built.flops:>23.3g} {built.steps:>8}")
    for name, reason in plan.dropped:
        lines.append(f"left out: {name!r} cannot be built: {reason}")
    for note, names in notes(plan):
        about = "" if len(names) == len(plan.built) else f" of {'; '.join(names)}"
        lines.append(f"note on the data{about}: {note}")
    rate = _seconds_per_operation()
    total = 0.0
    for what, wanted in (("search", trials), ("members", final)):
        if not wanted:
            continue
        cohorts = plan.cohorts(wanted)
        pending = wanted if points is None else points.pending(wanted)
        lines.append(f"{what}: {len(wanted)} in {len(cohorts)} {'program' if len(cohorts) == 1 else 'programs'}")
        if len(pending) < len(wanted):
            lines[-1] += f", {len(wanted) - len(pending)} of them already done or failed"
        keys = {point.key for point in pending}
        for cohort in cohorts:
            left = [point for point in cohort if point.key in keys]
            seconds = _seconds(plan, left, rate)
            total += seconds
            named = title(cohort) if sweep.search is None or what == "search" else title(cohort).removesuffix(" of the search")
            lines.append(f"  {cohort_name(cohort)}  {named}: {'done' if not left else f'about {duration(seconds)}'}")
    if sweep.search is not None:
        drawn = ", ".join(f"{field} from {text}" for field, text in sweep.search.ranges.items())
        lines.append(f"search for each variant, {sweep.search.trials} trials: {drawn}; members use the best on validation")
    devices = len(jax.local_devices())
    lines.append(f"about {duration(total / devices)} on {devices} {jax.devices()[0].device_kind}")
    return "\n".join(lines)


def _seconds(plan: Plan, points: Sequence[Point], rate: float) -> float:
    known = {built.variant.name: built for built in plan.built}
    seconds = _COMPILING if points else 0.0
    for point in points:
        built = known[point.variant.name]
        share = built.padded
        if point.phase == "search":  # of halved trials, half train to the half, a quarter to the quarter, and so on
            halvings = point.config.cohort.halvings
            share *= (halvings + 2) / 2 ** (halvings + 1)
        seconds += built.steps * point.config.training.batch_size * built.flops * share * rate
    return seconds


def _seconds_per_operation() -> float:
    """How long an operation of a small attention layer takes here, forward and backward."""
    shape = (32, 4, 64, 16)

    def loss(x: Any) -> Any:
        weights = jax.nn.softmax(jnp.einsum("bnth,bnsh->bnts", x, x))
        return jnp.sum(jnp.tanh(jnp.einsum("bnts,bnsh->bnth", weights, x) @ jnp.ones((16, 16))))

    compiled = jax.jit(jax.grad(loss)).lower(jnp.ones(shape)).compile()
    B, N, T, H = shape
    operations = 3 * 2 * B * N * T * (2 * T * H + H * H)  # of the products, the backward pass twice the forward one
    x = compiled(jnp.ones(shape)).block_until_ready()
    times = []
    for _ in range(5):
        start = time.monotonic()
        compiled(x).block_until_ready()
        times.append(time.monotonic() - start)
    return sorted(times)[2] / operations


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
