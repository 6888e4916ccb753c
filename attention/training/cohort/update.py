"""One update of one member, a pure function; ``members.over_members`` applies it to a cohort.

::

  loss = sum_i w_i (L_i + P_i) / sum_i w_i

``L`` is the task's loss of an example, ``w`` its weight, 0 for filler, and ``P`` the model's penalty.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from attention import specs
from attention.data.batches import inputs
from attention.data.contracts import UNKNOWN
from attention.tasks._task import Task
from attention.training import optimization as optimizers
from attention.training.cohort.members import Axis, Members, member_key, over_members
from attention.training.config import Config

Batch = dict[str, jax.Array]
Values = dict[str, jax.Array]


class Program(NamedTuple):
    """What is fixed at compilation: parts, and which features there are. Their values are traced.

    Attributes:
      task: what is learned.
      model: the model.
      direction: of the optimizer.
      factor: of the learning rate, by update.
      class_weights: one per class, or None.
      accumulation: parts of a batch.
      frozen_embeddings: whether the embedding is not to decay.
      dropout, word_dropout, clip, average: whether any member has it.
    """

    task: Task
    model: Any
    direction: optax.GradientTransformation
    factor: Callable[[jax.Array], jax.Array]
    class_weights: tuple[float, ...] | None = None
    accumulation: int = 1
    frozen_embeddings: bool = False
    dropout: bool = False
    word_dropout: bool = False
    clip: bool = False
    average: bool = False


def program(config: Config, model: Any, *, steps: int, class_weights: tuple[float, ...] | None) -> Program:
    """The program of a config: ``steps`` updates of ``model``."""
    training = config.training
    return Program(
        task=specs.build("task", config.task),
        model=model,
        direction=optimizers.direction(training.optimizer),
        factor=optimizers.schedule(training.schedule, steps=steps, warmup=training.warmup),
        class_weights=class_weights,
        accumulation=training.accumulation,
        frozen_embeddings=config.model.frozen_embeddings,
        dropout=bool(np.max(training.dropout) > 0),
        word_dropout=bool(np.max(training.word_dropout) > 0),
        clip=bool(np.max(training.clip_norm) > 0),
        average=bool(np.max(training.ema_decay) > 0),
    )


class Update:
    """The update of a cohort as ``cohort_step`` has it, compiled once per shape of a batch.

    Attributes:
      compile_seconds: spent on compiling so far.
      state_bytes, work_bytes: what the largest of its programs takes: state and batch, and while it computes.
    """

    def __init__(self, program: Program, axis: Axis):
        self._step = cohort_step(program, axis)
        self._compiled: dict[tuple[int, ...], Any] = {}
        self.compile_seconds = 0.0
        self.state_bytes = self.work_bytes = 0

    def __call__(self, count: jax.Array, members: Members, batch: Batch, values: Values) -> tuple[Members, jax.Array]:
        """The members after an update, and what is ready when it is done."""
        shape = tuple(size for name in sorted(batch) for size in batch[name].shape)
        if shape not in self._compiled:
            start = time.monotonic()
            compiled = self._step.lower(count, members, batch, values).compile()
            self.compile_seconds += time.monotonic() - start
            memory: Any = compiled.memory_analysis()
            if memory is not None:  # None on devices that do not tell
                self.state_bytes = max(self.state_bytes, memory.argument_size_in_bytes)
                self.work_bytes = max(self.work_bytes, memory.temp_size_in_bytes)
            self._compiled[shape] = compiled
        return self._compiled[shape](count, members, batch, values)


def cohort_step(program: Program, axis: Axis) -> jax.stages.Wrapped:
    """The compiled update of a cohort.

    Returns:
      ``step(count, members, batch, values) -> (members, tick)``. Members are donated; ``batch`` leaves are ``[M B ...]``,
      ``values`` ``[M]``; ``tick`` is ready when the update is done. Compiled once per shape of a batch.
    """
    mapped = over_members(functools.partial(train_step, program), axis, runs=lambda member: member.active)

    def step(count: jax.Array, members: Members, batch: Batch, values: Values) -> tuple[Members, jax.Array]:
        members = mapped(count, members, batch, values)
        return members, members.step

    return jax.jit(step, donate_argnums=1)


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
        gradients = optimizers.clip(gradients, norm, values["clip_norm"])
    moves, optimizer = program.direction.update(gradients, member.optimizer, member.params)
    params = optimizers.apply(
        member.params,
        moves,
        optimizers.decayed(member.params, frozen_embeddings=program.frozen_embeddings),
        learning_rate=values["learning_rate"] * program.factor(member.step),
        weight_decay=values["weight_decay"],
    )
    average = member.average
    if program.average:
        average = optimizers.moving_average(average, params, values["ema_decay"], member.step)
    sums = {**sums, "gradient_norm": norm, "weight_norm": optax.tree.norm(params), "updates": jnp.float32(1)}
    totals = {name: total + sums[name] for name, total in member.sums.items()}
    updated = member._replace(params=params, optimizer=optimizer, average=average, step=member.step + 1, sums=totals)
    kept = jax.tree.map(lambda new, old: jnp.where(member.active & finite, new, old), updated, member)
    failed_at = jnp.where(member.active & ~finite, member.step, member.failed_at)
    return kept._replace(active=member.active & finite, failed_at=failed_at)


def _gradients(program: Program, params: Any, batch: Batch, values: Values, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
    """Gradients of the loss, and sums over the batch. In ``accumulation`` parts, they are those of the whole batch."""
    weights = program.task.example_weights(batch, program.class_weights)
    gradient = jax.grad(objective, argnums=1, has_aux=True)
    batch = {**batch, "weight": weights, "real": batch["weight"]}
    if program.accumulation == 1:
        return gradient(program, params, batch, values, jax.random.fold_in(key, 0), jnp.sum(weights))
    parts = jax.tree.map(lambda x: x.reshape(program.accumulation, -1, *x.shape[1:]), batch)

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
