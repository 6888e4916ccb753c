"""What the members of a cohort say of examples: one loop over batches and members for every task."""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention import specs
from attention.data.batches import evaluation_batches, inputs
from attention.data.contracts import Encoded
from attention.training.cohort import devices
from attention.training.cohort.devices import Group, Spread
from attention.training.cohort.members import Axis, over_members, resolve_axis
from attention.training.config import Config

LONGER = 4  # padded lengths beside those of training, at most


def predict(
    model: Any,
    params: Spread,
    encoded: Encoded,
    config: Config,
    bucket_lengths: Sequence[int],
    **search: float,
) -> dict[str, np.ndarray]:
    """The outputs of each member for each example, without dropout, in the batches in which a run evaluates.

    Args:
      model: the model; programs are compiled once for each model, axis, search and shape of a batch.
      params: its parameters, members on their devices.
      encoded: the examples.
      config: of the run: its task, batches and axis; ``config.data.seed`` fixes what a method draws at random even at test.
      bucket_lengths: the padded lengths of training.
      search: options that ``Task.search`` lists.

    Returns:
      ``Task.forward``'s arrays, ``[M n ...]``, in the order of ``encoded``; shorter rows are filled up with zeros.
    """
    task = specs.build("task", config.task)
    options = (("longest", bucket_lengths[-1]), *sorted({**dict(task.search), **search}.items()))
    axis, rng = resolve_axis(config.cohort.axis), jax.random.key(config.data.seed)
    size = config.training.batch_size // config.training.accumulation
    lengths = evaluation_lengths(model, encoded, bucket_lengths)
    found: list[tuple[np.ndarray, list[dict[str, jax.Array]]]] = []
    for indices, batch in evaluation_batches(encoded, batch_size=size, bucket_lengths=lengths):
        found.append((indices, _of_groups(task.forward, options, model, axis, params, asked(batch), rng)))
    return {
        name: _joined([(indices, [part[name] for part in parts]) for indices, parts in found], len(encoded))
        for name in found[0][1][0]
    }


def asked(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ``Task.forward`` is given of a batch: the inputs, and what is wanted at their places."""
    return {**inputs(batch), **{name: batch[name] for name in ("wanted",) if name in batch}}


def of_members(outputs: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Outputs ``[M n ...]`` as those ``[n ...]`` of each member."""
    count = len(next(iter(outputs.values())))
    return [{name: array[number] for name, array in outputs.items()} for number in range(count)]


def evaluation_lengths(model: Any, encoded: Encoded, bucket_lengths: Sequence[int]) -> tuple[int, ...]:
    """The padded lengths of an evaluation: texts longer than those of training get at most ``LONGER`` more, evenly spaced."""
    trained, longest = bucket_lengths[-1], int(encoded.extents.max())
    limit = model.longest_text or sys.maxsize
    spaced = (trained - (trained - longest) * k // LONGER for k in range(1, LONGER + 1) if longest > trained)
    return (*bucket_lengths, *(min(-(-length // 8) * 8, limit) for length in spaced))


def _joined(blocks: Sequence[tuple[np.ndarray, Sequence[jax.Array]]], count: int) -> np.ndarray:
    """Blocks ``[M B ...]``, in parts by member, in the places of their examples, ``[M n ...]``."""
    shape = np.max([parts[0].shape for _, parts in blocks], axis=0)
    members = [len(part) for part in blocks[0][1]]
    joined = np.zeros((sum(members), count, *shape[2:]), blocks[0][1][0].dtype)
    for indices, parts in blocks:
        real = indices >= 0
        inside = tuple(slice(size) for size in parts[0].shape[2:])
        for end, part in zip(np.cumsum(members), parts):
            joined[(slice(end - len(part), end), indices[real], *inside)] = np.asarray(part)[:, real]
    return joined


def measure(model: Any, params: Spread, encoded: Encoded, config: Config) -> dict[str, np.ndarray]:
    """What the task measures of each member on a sample of a split, ``[M ...]`` by name; ``{}`` where there is nothing.

    A member's numbers are those of the run with its seed alone, bitwise where members are mapped over.
    """
    telemetry = specs.build("task", config.task).telemetry
    batch = None if telemetry is None else telemetry.sample(model, encoded)
    if telemetry is None or batch is None:
        return {}
    axis, rng = resolve_axis(config.cohort.axis), jax.random.key(config.data.seed)
    found = _of_groups(telemetry.measure, (), model, axis, params, inputs(batch), rng)
    return jax.device_get(Spread(params.groups, tuple(found)).joined())


def _of_groups(
    forward: Callable[..., dict[str, jax.Array]],
    options: tuple[tuple[str, float], ...],
    model: Any,
    axis: Axis,
    params: Spread,
    given: Mapping[str, np.ndarray],
    rng: jax.Array,
) -> list[dict[str, jax.Array]]:
    """``forward`` of the members of each group, ``[M' ...]``, on its devices."""

    def of(group: Group, part: Any) -> dict[str, jax.Array]:
        count = jnp.int32(group.end - group.first)  # an argument of the program: see ``over_members``
        return _outputs(forward, options, model, axis, count, part, group.batch(given, axis=0), rng)

    return devices.side_by_side(of, params.groups, params.parts)


@functools.partial(jax.jit, static_argnames=("forward", "options", "model", "axis"))
def _outputs(
    forward: Callable[..., dict[str, jax.Array]],
    options: tuple[tuple[str, float], ...],
    model: Any,
    axis: Axis,
    count: jax.Array,
    params: Any,
    given: Mapping[str, jax.Array],
    rng: jax.Array,
) -> dict[str, jax.Array]:
    """``forward`` of each member, ``[M ...]``."""

    @jax.jit  # traced once, for the shapes and for the program
    def one(member: Any) -> dict[str, jax.Array]:
        return forward(model, member, given, rng, **dict(options))

    shapes = jax.eval_shape(one, jax.tree.map(lambda leaf: leaf[0], params))
    members = len(jax.tree.leaves(params)[0])
    empty = jax.tree.map(lambda leaf: jnp.zeros((members, *leaf.shape), leaf.dtype), shapes)
    return over_members(lambda _, member: one(member), axis)(count, empty, params)
