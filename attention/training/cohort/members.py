"""The state of a cohort: every array has a leading axis of members, ``[M ...]``.

What a member draws at random is a function of its seed, of what the draw is for, and of the update: nothing random is
stored, and a member of a cohort draws what the single run with its seed draws.
"""

import zlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from attention.training.cohort.program import Program

Axis = Literal["map", "vmap"]
# Sums over the updates since they were last taken, over their examples where it says so.
SUMS = (
    "loss",  # weighted, over examples
    "weight",  # of the examples: filler 0, else the class weight
    "correct",  # examples
    "examples",
    "penalty",  # what the model adds to the loss, over updates
    "gradient_norm",  # before clipping, over updates
    "weight_norm",  # over updates
    "updates",
)


class Members(NamedTuple):
    """What an update changes.

    Attributes:
      params: the weights.
      optimizer: its state.
      average: moving average of the weights, ``()`` where there is none.
      step: updates done, int32.
      active: False once a member has stopped: nothing of it changes any more.
      failed_at: the update whose loss or gradient was not finite, int32; -1 where there is none.
      sums: float32, by name (``SUMS``).
    """

    params: Any
    optimizer: Any
    average: Any
    step: jax.Array
    active: jax.Array
    failed_at: jax.Array
    sums: dict[str, jax.Array]


class Cohort(NamedTuple):
    """The members, and for each the weights of its best validation."""

    members: Members
    best: Any


def member_key(seed: jax.Array | int, purpose: str) -> jax.Array:
    """The random stream of a member for one purpose."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))


def resolve_axis(axis: str) -> Axis:
    """``auto`` is ``map`` on a CPU, where small models are slower under vmap than in turn, and ``vmap`` elsewhere."""
    if axis == "auto":
        return "map" if jax.default_backend() == "cpu" else "vmap"
    return "vmap" if axis == "vmap" else "map"


def over_members(
    function: Callable[..., Any], axis: Axis, runs: Callable[[Any], jax.Array | bool] = lambda _: True
) -> Callable[..., Any]:
    """Applies ``function(member, *rest)`` to each member.

    With ``map`` one member follows the other, each computed as if alone: the result is bitwise that of a cohort of one.
    XLA would compile another program for another M: with M = 1 it dissolves a loop of one round, and drops the slices,
    and what it then fuses rounds differently. So the number of rounds is an argument, and each round is a branch, whose
    body sees one member and is compiled the same for every M. The members are updated in place.

    Args:
      function: takes trees without the leading axis, returns the first one changed.
      axis: how.
      runs: whether ``function`` would change a member at all; with ``map``, the time of one that it would not is saved.

    Returns:
      ``mapped(count, members, *rest) -> members``; ``count`` is M as an int32 array, and must not be a constant.
    """
    if axis == "vmap":
        return lambda count, members, *rest: jax.vmap(function)(members, *rest)

    def mapped(count: jax.Array, members: Any, *rest: Any) -> Any:
        def one(index: jax.Array, members: Any) -> Any:
            take = lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False)
            put = lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, index, 0)
            member, *others = jax.tree.map(take, (members, *rest))
            # The first is always true, which XLA cannot know.
            changed = jax.lax.cond((index < count) & runs(member), function, lambda member, *_: member, member, *others)
            return jax.tree.map(put, members, changed)

        return jax.lax.fori_loop(0, count, one, members)

    return mapped


def abstract_params(model: Any, members: int) -> Any:
    """The shapes and dtypes of a model's parameters with a leading axis of members; computes nothing."""
    one = jax.eval_shape(lambda rng: model.init(rng, **model.example()), jax.random.key(0))["params"]
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((members, *leaf.shape), leaf.dtype), one)


def new_member(program: Program, params: Any) -> Members:
    """The state of one member before its first update."""
    return Members(
        params=params,
        optimizer=program.steps(params).init(params),
        average=params if program.average else (),
        step=jnp.int32(0),
        active=jnp.bool_(True),
        failed_at=jnp.int32(-1),
        sums={name: jnp.float32(0) for name in SUMS},
    )


def new_cohort(
    program: Program,
    count: jax.Array,
    seeds: jax.Array,
    start: Any,
    vectors: tuple[jax.Array, jax.Array] | None,
) -> Cohort:
    """The state of a cohort before its first update. Pure: to be jitted, or asked for its shapes.

    Args:
      program: what is trained.
      count: M, as ``over_members`` wants it.
      seeds: uint32 ``[M]``.
      start: nested dict of weights ``[M ...]`` that replace the drawn ones of the same path (fine-tuning).
      vectors: matrix ``[V D]`` and bool ``[V]``, the rows of the embedding that are given; None for none.
    """

    def one(seed: jax.Array, start: Any) -> Members:
        model = program.model
        params = model.init(member_key(seed, "init"), **model.example())["params"]
        if vectors is not None:
            table = params["embedding"]["table"]
            params["embedding"]["table"] = jnp.where(vectors[1][:, None], vectors[0], table)
        return new_member(program, overlay(params, start))

    shapes = jax.eval_shape(one, seeds[0], jax.tree.map(lambda x: x[0], start))
    empty = jax.tree.map(lambda x: jnp.zeros((len(seeds), *x.shape), x.dtype), shapes)
    members = over_members(lambda _, seed, start: one(seed, start), "map")(count, empty, seeds, start)
    return Cohort(members, members.average if program.average else members.params)


def overlay(tree: Any, upper: Any) -> Any:
    """The nested dict ``tree`` with the leaves that ``upper`` has."""
    if not isinstance(tree, dict):
        return upper
    return {name: overlay(value, upper[name]) if name in upper else value for name, value in tree.items()}


def evaluated(program: Program, members: Members) -> Any:
    """The weights that are evaluated: their moving average where there is one, or what the optimizer evaluates."""
    if program.average:
        return members.average
    own = program.optimizer.evaluated
    return members.params if own is None else jax.vmap(own)(members.optimizer, members.params)


def keep_best(program: Program, cohort: Cohort, better: jax.Array, active: jax.Array) -> Cohort:
    """Takes over the weights of the members ``better`` ``[M]``, and stops those that are not ``active`` ``[M]``."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    members = cohort.members
    best = jax.tree.map(choose, evaluated(program, members), cohort.best)
    return Cohort(members._replace(active=members.active & active), best)


def take_sums(members: Members) -> tuple[Members, dict[str, jax.Array]]:
    """The members with their sums begun anew, and the sums, with ``active`` and ``failed_at`` beside them."""
    taken = {**members.sums, "active": members.active, "failed_at": members.failed_at}
    return members._replace(sums=jax.tree.map(jnp.zeros_like, members.sums)), taken
