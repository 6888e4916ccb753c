"""What there is (``--list``), and what a config would train and cost (``--describe``)."""

import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention import specs
from attention.data import batches, dataset
from attention.evaluation.trained import build_model
from attention.training.optimization import decayed
from attention.training import recipe
from attention.training.cohort.members import new_cohort, resolve_axis
from attention.training.cohort.update import Program, cohort_step, program, train_step
from attention.training.config import Config, member_values, to_dict


def variants_of(kind: str) -> str:
    """One line for each variant of a kind, or of every kind where it is "all": name, options, summary."""
    kinds = tuple(specs.KINDS) if kind == "all" else (kind,)
    lines = []
    for each in kinds:
        names = specs.names(each)
        lines.append(f"{each}:")
        lines += [f"  {specs.describe(each, name)}" for name in names]
    return "\n".join(lines)


def describe(config: Config) -> str:
    """The resolved config, parameters per part, and the cost of an update at the longest bucket; trains nothing."""
    data = recipe.load_data(config, None, None)
    plan = recipe.train_plan(config, data)
    model = build_model(config, vocab_size=data.vocab_size, num_classes=len(data.classes))
    steps = recipe.total_steps(config.training, plan.steps_per_epoch)
    weights = recipe.class_weights(config.training, data)
    compiled = program(config, model, steps=steps, class_weights=weights)
    lines = [json.dumps(to_dict(config), indent=2)]
    recipe.report_data(data, plan)
    make = functools.partial(new_cohort, model, compiled.direction, average=compiled.average)
    count, seeds = jnp.int32(len(config.seeds)), jnp.asarray(config.seeds, jnp.uint32)
    members = jax.eval_shape(make, count, seeds, {}, None).members
    lines += _parameters(members.params, frozen_embeddings=config.model.frozen_embeddings)
    lines += _cost(config, compiled, members, data, plan)
    return "\n".join(lines)


def _parameters(params: Any, *, frozen_embeddings: bool) -> list[str]:
    """A line per part of the model: entries of one member, and how many of them decay."""
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
    marks = decayed(one, frozen_embeddings=frozen_embeddings)
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


def _cost(config: Config, compiled: Program, members: Any, data: dataset.Dataset, plan: batches.Plan) -> list[str]:
    """Operations and memory of one update at the longest bucket, as XLA counts them."""
    length, size = plan.bucket_lengths[-1], config.training.batch_size
    axis = resolve_axis(config.cohort.axis)
    row = np.full((len(config.seeds), size), -1, np.int64)
    batch = batches.gather(data.splits["train"], row, length)
    values = member_values(config)
    count = jnp.int32(len(config.seeds))
    memory: Any = cohort_step(compiled, axis).lower(count, members, batch, values).compile().memory_analysis()
    flops = flops_per_example(compiled, members, batch, values)
    state, work = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    return [
        f"update: {size} examples of {length} tokens for each of {len(config.seeds)} members, axis {axis}",
        f"  {flops:.3g} floating-point operations per example, forward and backward",
        f"  {state / 2**20:.1f} MiB of state and batch, {work / 2**20:.1f} MiB while it computes",
    ]


def flops_per_example(compiled: Program, members: Any, batch: Any, values: Any) -> float:
    """Floating-point operations of an update, forward and backward, over the examples of its batch, before any fusing.

    XLA counts the body of a loop once, so that they are counted without loops: in one part and with the whole score matrix.
    What loops by its nature, a recurrent layer or a search for a threshold, is counted too low.

    Args:
      compiled: the program; it is compiled only where the device counts nothing before.
      members, batch, values: the arguments of its update, with the leading axis of members, or their shapes.
    """
    model = dataclasses.replace(compiled.model, kernel="dense")
    plain = compiled._replace(model=model, accumulation=1)
    first = functools.partial(jax.tree.map, lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype))
    lowered = jax.jit(functools.partial(train_step, plain)).lower(first(members), first(batch), first(values))
    counts: Any = lowered.cost_analysis() or lowered.compile().cost_analysis()  # not every device counts beforehand
    return counts["flops"] / batch["weight"].shape[1]
