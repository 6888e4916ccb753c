"""How long the variants of a sweep take: from members of it that are trained, else from an update that is timed here.

A variant without either is taken to be like those that have one, in proportion to its operations where they are counted. Times
are ranges: the low end has the programs in JAX's cache and a processor for itself, the high end neither.
"""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from attention import heartbeat
from attention.data import batches
from attention.data.contracts import LENGTHS, Encoded
from attention.lab.plan import Built, Plan, Point
from attention.lab.store import Points
from attention.training import config as configs
from attention.training import machine, recipe
from attention.training.cohort import devices
from attention.training.cohort.members import new_cohort, resolve_axis
from attention.training.cohort.predict import evaluation_lengths, predict
from attention.training.cohort.update import cohort_step
from attention.training.config import member_values
from attention.training.process import Clock

BUDGET = 10.0  # seconds after which no more variants are timed
_KNOWN, _TIMED, _ALIKE = (0.8, 1.25), (0.7, 1.45), (0.5, 2.0)  # what a member takes, over what is expected
_PROGRAMS = (0.3, 1.3)  # what compiling takes: the low end from the cache
_START = 1.5  # seconds in which a cohort compiles its small programs, draws its weights and writes its files
_REPORT = (3.0, 8.0)  # seconds of starting and of the report
_ROWS = (0.5, 1.5)  # for each variant in it, whose operations are counted


class Range(NamedTuple):
    """Seconds, from the least to the most that is to be expected."""

    low: float
    high: float

    def __add__(self, other: Any) -> "Range":
        return Range(self.low + other[0], self.high + other[1])

    def __mul__(self, factor: Any) -> "Range":
        return Range(self.low * factor, self.high * factor)


class Cost(NamedTuple):
    """What a variant takes.

    Attributes:
      cohort: once for each program, however many members it has.
      member: of all updates of one, its validations and its scores.
    """

    cohort: Range
    member: Range


class Estimate(NamedTuple):
    """What is expected of the cohorts of a plan.

    Attributes:
      costs: by variant.
      source: where the numbers come from, in words.
    """

    costs: Mapping[str, Cost]
    source: str

    def of(self, cohort: Sequence[Point], devices: int = 1) -> Range:
        """A cohort, or what is left of one, on some devices; what several of them for a member gain is not known."""
        total = Range(0.0, 0.0)
        if not cohort:
            return total
        for point in cohort:
            total += self.costs[point.variant.name].member * _share(point)
        rounds = -(-len(cohort) // devices) / len(cohort)  # the members of one device after another
        least = min(rounds, len(cohort) / devices * rounds)
        spread = Range(total.low * least, total.high * rounds)
        return spread + self.costs[cohort[0].variant.name].cohort


def whole(stages: Sequence[Sequence[Range]], devices: int, variants: int) -> Range:
    """The cohorts of each stage, as many at a time as there are devices at most, and the report."""
    total, begun = Range(0.0, 0.0), [cohorts for cohorts in stages if cohorts]
    for cohorts in begun:
        total += tuple(max(sum(part) / devices, max(part)) for part in zip(*cohorts, strict=True))
    return total + _REPORT + Range(*_ROWS) * variants if begun else total


def estimate(plan: Plan, points: Points | None, operations: Mapping[str, float]) -> Estimate:
    """What the variants of a plan take.

    Args:
      plan: the plan.
      points: what there is already; None before anything is.
      operations: per example, of the variants that they are counted of.
    """
    clock = Clock()
    recipe.load_data(plan.built[0].config)
    loading = _seconds(clock)
    wanted = [*plan.trials(), *plan.points()]
    known = {} if points is None else _known(points, wanted, loading)
    timed: dict[str, Cost] = {}
    begun = time.monotonic()
    others = [built for built in _spread(plan) if built.variant.name not in known]
    for built in heartbeat.each("timing an update of variant", others):
        if timed and time.monotonic() - begun > BUDGET:
            break
        timed[built.variant.name] = _timed(built, plan.sweep.max_members, loading)
    found = {**timed, **known}
    alike = {
        built.variant.name: _alike(built.variant.name, found, operations) for built in others if built.variant.name not in timed
    }
    return Estimate({**found, **alike}, _source(known, timed, alike))


def _source(known: Mapping[str, Any], timed: Mapping[str, Any], alike: Mapping[str, Any]) -> str:
    parts = [(known, "from members that are trained"), (timed, "from updates timed here"), (alike, "taken to be like these")]
    return ", ".join(f"{len(some)} {words}" for some, words in parts if some)


def _spread(plan: Plan) -> list[Built]:
    """The variants, the baseline first, then such as lie far apart in the order of the sweep."""
    name = plan.sweep.baseline
    rest = [built for built in plan.built if built.variant.name != name]
    golden = (math.sqrt(5) - 1) / 2  # multiples of it, modulo 1, leave no wide gaps
    places = sorted(range(len(rest)), key=lambda place: (place * golden + 0.5) % 1)
    return [*(built for built in plan.built if built.variant.name == name), *(rest[place] for place in places)]


def _share(point: Point) -> float:
    """Of its updates that a point makes: of halved trials, half train to the half, a quarter to the quarter, and so on."""
    halvings = point.config.cohort.halvings
    return (halvings + 2) / 2 ** (halvings + 1)


def _known(points: Points, wanted: Sequence[Point], loading: float) -> dict[str, Cost]:
    """The variants that have finished members, by the quickest of them: a busy machine makes none quicker."""
    found: dict[str, Cost] = {}
    for point in wanted:
        run = points.run(point)
        if not run.finished or point.config.cohort.halvings:  # whose members trained for unequal times
            continue
        result = run.read_result()
        updates, members = result["members"][0]["updates"], result.get("cohort", {"members": 1})["members"]
        if not updates:
            continue
        waited = max(result["step_seconds"] - (result.get("process_seconds") or math.inf), 0.0)  # for other processes
        seconds = (result["train_seconds"] - result["compile_seconds"] - waited) / updates * result["steps"]
        cost = Cost(_once(result["compile_seconds"] * members, loading), Range(*_KNOWN) * seconds)
        name = point.variant.name
        found[name] = min(found.get(name, cost), cost, key=lambda each: each.member)
    return found


def _timed(built: Built, members: int, loading: float) -> Cost:
    """A variant by one update and one batch of an evaluation, both of its longest texts, compiled and timed here.

    Args:
      built: the variant.
      members: of a cohort, at most.
      loading: seconds that loading the data takes.
    """
    axis = resolve_axis(built.config.cohort.axis)
    most = members if axis == "vmap" else 1  # side by side, what they take is no multiple of what one takes
    config = configs.cohort(configs.members(built.config)[:most])
    experiment = recipe.experiment(config, data=built.data)
    plan, splits = experiment.plan, built.data.splits
    values = {name: jnp.asarray(value) for name, value in member_values(config).items()}
    long = _longest(splits["train"], config.training.batch_size)
    rows = np.resize(np.arange(len(long)), (len(config.seeds), config.training.batch_size))
    batch = batches.gather(long, rows, plan.bucket_lengths[-1])
    few = _longest(splits["validation"], config.training.batch_size // config.training.accumulation)
    count = jnp.int32(len(config.seeds))
    with _uncached():
        clock = Clock()
        state, best = jax.jit(functools.partial(new_cohort, experiment.program))(count, values["seed"], {}, None)
        drawing = _seconds(clock)
        step = cohort_step(experiment.program, axis).lower(count, state, batch, values).compile()
        groups = devices.layout(len(config.seeds), config.training.batch_size, jax.local_devices()[:1]).groups
        weights = devices.spread(best, groups)
        score = lambda: predict(experiment.model, weights, few, config, plan.bucket_lengths)
        score()
        compiling = _seconds(clock) * len(plan.bucket_lengths)

    def update() -> None:
        nonlocal state
        state, done = step(count, state, batch, values)
        done.block_until_ready()

    updates = experiment.steps * float(plan.shapes(0).mean()) / plan.bucket_lengths[-1]
    scored = sum(_batches(experiment, split) * times for split, times in _evaluations(built, experiment))
    seconds = _quickest(update) * updates + _quickest(score) * scored
    return Cost(_once(drawing + compiling, loading), Range(*_TIMED) * (seconds / len(config.seeds)))


@contextlib.contextmanager
def _uncached() -> Iterator[None]:
    """Without JAX's cache of programs, so that compiling takes what it takes."""
    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


def _once(compiling: float, loading: float) -> Range:
    """What a cohort takes however many members it has."""
    return Range(*_PROGRAMS) * compiling + (loading + _START,) * 2


def _longest(encoded: Encoded, count: int) -> Encoded:
    """The longest examples."""
    return encoded.only(np.isin(np.arange(len(encoded)), np.argsort(encoded.extents)[-count:]))


def _evaluations(built: Built, experiment: recipe.Experiment) -> list[tuple[Encoded, int]]:
    """The splits that a member is scored on, and how often."""
    every = experiment.eval_every
    splits = built.data.splits
    often = {
        "validation": -(-experiment.steps // every),
        "test": int(built.split == "test"),
        LENGTHS: int(built.data.trained_length is not None),
    }
    return [(splits[name], times) for name, times in often.items() if name in splits]


def _batches(experiment: recipe.Experiment, encoded: Encoded) -> float:
    """The batches of a split, each as many as it has tokens of one of the longest of training; longer ones by their square."""
    config, longest = experiment.config, experiment.plan.bucket_lengths[-1]
    lengths = np.asarray(evaluation_lengths(experiment.model, encoded, experiment.plan.bucket_lengths))
    padded = lengths[np.minimum(np.searchsorted(lengths, encoded.extents), len(lengths) - 1)] / longest
    return float(np.where(padded > 1, padded**1.5, padded).sum()) * config.training.accumulation / config.training.batch_size


def _quickest(call: Callable[[], Any]) -> float:
    """Seconds of a call, the least of as many as take half a second, three at least."""
    call()
    clock, times = Clock(), list[float]()
    while len(times) < 3 or sum(times) < 0.5:
        call()
        times.append(_seconds(clock))
    return min(times)


def _seconds(clock: Clock) -> float:
    """What a clock has, without the time in which other processes had the processors."""
    spent = clock.spent()
    return min(spent) if machine.own_time() else spent.seconds


def _alike(name: str, found: Mapping[str, Cost], operations: Mapping[str, float]) -> Cost:
    """A variant as those that are known, in proportion to its operations where they are counted."""
    ratio = lambda other: operations[name] / operations[other] if name in operations and other in operations else 1.0
    members = [cost.member * ratio(other) for other, cost in found.items()]
    middle = [sum(part) / len(part) for part in zip(*members, strict=True)]
    cohorts = [sum(part) / len(part) for part in zip(*(cost.cohort for cost in found.values()), strict=True)]
    return Cost(Range(*cohorts), Range(middle[0] * _ALIKE[0] / _TIMED[0], middle[1] * _ALIKE[1] / _TIMED[1]))
