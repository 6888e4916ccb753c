"""One update of one member, a pure function; ``members.over_members`` applies it to a cohort.

::

  loss = sum_i w_i (L_i + P_i) / sum_i w_i

``L`` is the task's loss of an example, ``w`` its weight, 0 for filler, and ``P`` the model's penalty.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from attention import heartbeat
from attention.data.batches import inputs
from attention.data.contracts import UNKNOWN
from attention.precision import multiplying
from attention.training.cohort import devices
from attention.training.cohort.devices import Group, Spread
from attention.training.cohort.members import Axis, Members, member_key, over_members
from attention.training.cohort.program import Program
from attention.training.process import Clock, Spent, set_gaps_aside

Batch = dict[str, jax.Array]
Values = dict[str, jax.Array]


class Update:
    """The update of a cohort as ``cohort_step`` has it, compiled once per shape of a batch for each group of devices.

    Args:
      program: what is trained.
      axis: how members follow each other on a device.
      groups: of devices.
      values: the seed and the per-member fields, ``[M]``.

    Attributes:
      compiling: spent on it so far.
      state_bytes, work_bytes: what the largest of its programs takes of a device: state and batch, and while it computes.
    """

    def __init__(self, program: Program, axis: Axis, groups: Sequence[Group], values: Mapping[str, Any]):
        self._groups = groups
        alone = cohort_step(program, axis)  # one for all groups of one device, so that it is traced once
        self._steps = [alone if len(group.devices) == 1 else cohort_step(program, axis, group) for group in groups]
        self._counts = [jax.device_put(jnp.int32(group.end - group.first), group.whole) for group in groups]
        self._values = devices.spread({name: jnp.asarray(value) for name, value in values.items()}, groups).parts
        self._compiled: dict[tuple[int, ...], list[Any]] = {}
        self.compiling = Spent()
        self.state_bytes = self.work_bytes = 0

    def __call__(self, members: Spread, batch: Mapping[str, np.ndarray]) -> tuple[Spread, list[jax.Array]]:
        """The members after an update with a batch ``[M B ...]``, and what is ready when it is done."""
        own = [group.batch(group.members(batch), axis=1) for group in self._groups]
        given = list(zip(self._counts, members.parts, own, self._values))
        shape = tuple(size for name in sorted(batch) for size in batch[name].shape)
        if shape not in self._compiled:
            clock = Clock()
            with heartbeat.doing("compiling an update"):
                lowered = [step.lower(*arguments) for step, arguments in zip(self._steps, given)]
                self._compiled[shape] = devices.side_by_side(lambda each: each.compile(), lowered)
            set_gaps_aside()
            self.compiling = self.compiling.more(clock.spent())
            for compiled in self._compiled[shape]:
                memory: Any = compiled.memory_analysis()
                if memory is not None:  # None on devices that do not tell
                    self.state_bytes = max(self.state_bytes, memory.argument_size_in_bytes)
                    self.work_bytes = max(self.work_bytes, memory.temp_size_in_bytes)
        done = [compiled(*arguments) for compiled, arguments in zip(self._compiled[shape], given)]
        return Spread(members.groups, tuple(part for part, _ in done)), [tick for _, tick in done]


def cohort_step(program: Program, axis: Axis, group: Group | None = None) -> jax.stages.Wrapped:
    """The compiled update of a cohort, or of those of its members that a group of devices has.

    Returns:
      ``step(count, members, batch, values) -> (members, tick)``. Members are donated; ``batch`` leaves are ``[M B ...]``,
      ``values`` ``[M]``; ``tick`` is ready when the update is done. Compiled once per shape of a batch.
    """
    whole = None
    if group is not None and len(group.devices) > 1:
        whole = group.whole
        program = program._replace(rows=group.rows(axis=1)) if program.accumulation > 1 else program
    mapped = over_members(functools.partial(train_step, program), axis, runs=lambda member: member.active)

    def step(count: jax.Array, members: Members, batch: Batch, values: Values) -> tuple[Members, jax.Array]:
        members = mapped(count, members, batch, values)
        return members, members.step

    return jax.jit(step, donate_argnums=1, out_shardings=whole)


def _precisely(step: Callable[..., Members]) -> Callable[..., Members]:
    """All of an update is multiplied as its model is: derivatives of its own and an optimizer's products, too."""

    @functools.wraps(step)
    def traced(program: Program, *given: Any) -> Members:
        with multiplying(program.model.matmul_precision):
            return step(program, *given)

    return traced


@_precisely
def train_step(program: Program, member: Members, batch: Batch, values: Values) -> Members:
    """One update of one member.

    A member that has stopped is returned as it is. One whose loss or gradient is not finite stops before the update,
    and ``failed_at`` names it.

    Args:
      program: what is static.
      member: the state, without a member axis.
      batch: what ``batches.gather`` returns, without a member axis.
      values: the seed and the per-member fields, numbers.

    Returns:
      The state after the update.
    """
    key = jax.random.fold_in(member_key(values["seed"], "update"), member.step)
    gradients, sums = _gradients(program, member.params, batch, values, key)
    norm = optax.tree.norm(gradients)
    finite = jnp.isfinite(sums["loss"]) & jnp.isfinite(sums["penalty"]) & jnp.isfinite(norm)
    if program.clip:
        gradients, _ = optax.clip_by_global_norm(values["clip_norm"]).update(gradients, optax.EmptyState())
    rate = values["learning_rate"] * program.factor(member.step)
    steps = program.steps(member.params, rate, values["weight_decay"])
    moves, optimizer = steps.update(gradients, member.optimizer, member.params)
    params = optax.apply_updates(member.params, moves)
    average = member.average
    if program.average:
        average = optax.incremental_update(params, average, 1.0 - average_decay(values["ema_decay"], member.step))
    sums = {**sums, "gradient_norm": norm, "weight_norm": optax.tree.norm(params), "updates": jnp.float32(1)}
    totals = {name: total + sums[name] for name, total in member.sums.items()}
    updated = member._replace(params=params, optimizer=optimizer, average=average, step=member.step + 1, sums=totals)
    kept = jax.tree.map(lambda new, old: jnp.where(member.active & finite, new, old), updated, member)
    failed_at = jnp.where(member.active & ~finite, member.step, member.failed_at)
    return kept._replace(active=member.active & finite, failed_at=failed_at)


def average_decay(decay: jax.Array, step: jax.Array) -> jax.Array:
    """``min(decay, (1 + t) / (10 + t))`` at update ``t`` = 0, 1, ...: the average soon leaves the initialization behind."""
    t = step.astype(jnp.float32)
    return jnp.minimum(decay, (1.0 + t) / (10.0 + t))


def _gradients(program: Program, params: Any, batch: Batch, values: Values, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
    """Gradients of the loss, and sums over the batch. In ``accumulation`` parts, they are those of the whole batch."""
    weights = program.task.example_weights(batch, program.class_weights)
    gradient = jax.grad(objective, argnums=1, has_aux=True)
    batch = {**batch, "weight": weights, "real": batch["weight"]}
    if program.accumulation == 1:
        return gradient(program, params, batch, values, jax.random.fold_in(key, 0), jnp.sum(weights))
    parts = jax.tree.map(lambda x: x.reshape(program.accumulation, -1, *x.shape[1:]), batch)
    if program.rows is not None:  # each part, not each device, has rows of its own
        parts = jax.lax.with_sharding_constraint(parts, program.rows)

    def add(total: Any, numbered: tuple[jax.Array, Batch]) -> tuple[Any, None]:
        index, part = numbered
        found = gradient(program, params, part, values, jax.random.fold_in(key, index), jnp.sum(weights))
        return jax.tree.map(jnp.add, total, found), None

    zeros = jax.tree.map(jnp.zeros_like, (params, {name: jnp.float32(0) for name in _SUMMED}))
    total, _ = jax.lax.scan(add, zeros, (jnp.arange(program.accumulation), parts))
    return total


_SUMMED = ("loss", "weight", "correct", "examples", "penalty")


def objective(
    program: Program, params: Any, batch: Batch, values: Values, key: jax.Array, total: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The share of a part of a batch in the loss, and its sums.

    Args:
      batch: ``weight`` is ``w``, and ``real`` 0 for filler and 1 for an example.
      total: sum of ``w`` over the whole batch.
    """
    model_key, word_key = jax.random.split(key)
    given = inputs(batch)
    if program.word_dropout:
        dropped = jax.random.bernoulli(word_key, values["word_dropout"], batch["tokens"].shape) & batch["valid"]
        given["tokens"] = jnp.where(dropped, UNKNOWN, batch["tokens"])
    rate = values["dropout"] if program.dropout else None
    logits, extra = program.model.apply({"params": params}, **given, rng=model_key, train=True, dropout=rate)
    losses, right = program.task.scored(logits, batch, values["label_smoothing"])
    weight = batch["weight"]
    loss, part = jnp.sum(weight * losses), jnp.sum(weight)
    penalty = jnp.sum(weight * extra["loss"]) / total
    correct = jnp.sum(batch["real"] * right)
    sums = {"loss": loss, "weight": part, "correct": correct, "examples": jnp.sum(batch["real"]), "penalty": penalty}
    return loss / total + penalty, sums
