"""What a config would train and cost (``--describe``)."""

import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention.data import batches
from attention.training import recipe
from attention.training.cohort.devices import Group
from attention.training.cohort.members import Members, new_cohort, resolve_axis
from attention.training.cohort.program import Program
from attention.training.cohort.update import cohort_step, train_step
from attention.training.config import Config, member_values, to_dict
from attention.training.recipe import Experiment


def describe(config: Config) -> str:
    """The resolved config, parameters per part, and the cost of an update at the longest bucket; trains nothing."""
    experiment = recipe.experiment(config)
    recipe.report_data(experiment.data, experiment.plan, experiment.task)
    members = abstract_members(experiment)
    lines = [json.dumps(to_dict(config), indent=2)]
    lines += _parameters(members.params, experiment.program)
    lines += _cost(experiment, members)
    return "\n".join(lines)


def abstract_members(experiment: Experiment) -> Members:
    """The shapes and dtypes of the members before their first update; computes nothing."""
    seeds = jnp.asarray(experiment.config.seeds, jnp.uint32)
    make = functools.partial(new_cohort, experiment.program)
    return jax.eval_shape(make, jnp.int32(len(seeds)), seeds, {}, None).members


def _parameters(params: Any, program: Program) -> list[str]:
    """A line per part of the model: entries of one member, and how many of them decay."""
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
    marks = program.decays(one)
    counted = {}
    for (path, leaf), decays in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(marks)):
        names = [str(getattr(entry, "key", entry)) for entry in path]
        part = ".".join(names[:2] if len(names) > 2 else names[:1])
        total, decaying = counted.get(part, (0, 0))
        counted[part] = (total + leaf.size, decaying + leaf.size * decays)
    total = tuple(sum(column) for column in zip(*counted.values()))
    width = max(map(len, counted))
    rows = [*counted.items(), ("total", total)]
    lines = [f"  {part.ljust(width)} {size:>12,} {decaying:>12,}" for part, (size, decaying) in rows]
    return [f"parameters {'':{width - 9}} {'all':>12} {'decayed':>12}", *lines]


def filler(experiment: Experiment) -> dict[str, np.ndarray]:
    """A batch of the longest padded length for each member."""
    config, length = experiment.config, experiment.plan.bucket_lengths[-1]
    rows = np.full((len(config.seeds), config.training.batch_size), -1, np.int64)
    return batches.gather(experiment.data.splits["train"], rows, length)


def _cost(experiment: Experiment, members: Members) -> list[str]:
    """Operations and memory of one update at the longest bucket, as XLA counts them."""
    config, length = experiment.config, experiment.plan.bucket_lengths[-1]
    axis, count = resolve_axis(config.cohort.axis), len(config.seeds)
    layout = recipe.layout(config)
    several = layout.used + len(layout.idle) > 1
    compiled = lowered(experiment, members, layout.groups[0]).compile()  # no group has more members than the first
    memory: Any = compiled.memory_analysis()
    flops = flops_per_example(experiment, members)
    state, work = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    return [
        f"update: {config.training.batch_size} examples of {length} tokens for each of {count} members, axis {axis}",
        f"  {flops:.3g} floating-point operations per example, forward and backward",
        f"  {state / 2**20:.1f} MiB of state and batch, {work / 2**20:.1f} MiB while it computes"
        + (", on each device" if several else ""),
        *([f"devices: {layout}"] if several else []),
    ]


def lowered(experiment: Experiment, members: Members, group: Group) -> jax.stages.Lowered:
    """The update of the members of a group at the longest bucket, on its devices."""
    config, size = experiment.config, group.end - group.first
    step = cohort_step(experiment.program, resolve_axis(config.cohort.axis), group)

    def some(tree: Any, sharding: jax.sharding.Sharding) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype, sharding=sharding), tree)

    count = jax.ShapeDtypeStruct((), jnp.int32, sharding=group.whole)
    batch, values = some(filler(experiment), group.rows(axis=1)), some(member_values(config), group.whole)
    return step.lower(count, some(members, group.whole), batch, values)


def flops_per_example(experiment: Experiment, members: Members) -> float:
    """Floating-point operations of an update, forward and backward, over the examples of its batch, before any fusing.

    XLA counts the body of a loop once, so that they are counted without loops: in one part and with the whole score matrix.
    What loops by its nature, a recurrent layer or a search for a threshold, is counted too low.

    Args:
      experiment: what is trained; it is compiled only where the device counts nothing before.
      members: the state of its members, or their shapes.
    """
    model = dataclasses.replace(experiment.model, kernel="dense")
    plain = experiment.program._replace(model=model, accumulation=1)
    first = functools.partial(jax.tree.map, lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype))
    batch, values = filler(experiment), member_values(experiment.config)
    lowered = jax.jit(functools.partial(train_step, plain)).lower(first(members), first(batch), first(values))
    counts: Any = lowered.cost_analysis() or lowered.compile().cost_analysis()  # not every device counts beforehand
    return counts["flops"] / experiment.config.training.batch_size
