"""A trained model as a program of StableHLO, for any number of texts of any length, with its weights inside."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention import installation
from attention.data.contracts import PADDING, Encoded
from attention.data.segments import restarted
from attention.evaluation.trained import Trained
from attention.files import write_atomic
from attention.messages import shown
from attention.training import recipe
from attention.training.cohort.predict import predict

PLATFORMS = ("cpu", "cuda", "tpu")
_CHECKED = 16  # random texts
_OPEN = (jax.errors.InconclusiveDimensionOperation, TypeError, ValueError)  # of decisions by a size that is left open


def programs(trained: Trained, weights: Callable[[], Any]) -> dict[int | None, Any]:
    """The program for texts of any length, under None; where a part wants to know it, one for each padded length of training.

    Args:
      trained: the run.
      weights: makes those of a member; called under the trace.

    Returns:
      ``jax.export.Exported`` of int32 ``[b t]``, as ``inputs`` names them, that give arrays by name.

    Raises:
      ValueError: for a task whose answers are written place by place, or a part that wants to know the number of texts.
    """
    installation.require("flatbuffers")
    if trained.task.served is None:
        raise ValueError(f"config.task={trained.settings.task} leaves as weights alone: --export=FILE.safetensors")
    try:
        return {None: _traced(trained, weights, None)}
    except _OPEN:
        lengths = trained.data.bucket_lengths
    try:
        return {length: _traced(trained, weights, length) for length in lengths}
    except _OPEN as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{shown(trained.run.path)} has a part that wants to know how many texts there are: {reason}"
        ) from None


def _traced(trained: Trained, weights: Callable[[], Any], length: int | None) -> Any:
    from jax import export

    task, data, served, facts = trained.task, trained.settings.data, trained.task.served, trained.facts
    assert served is not None
    rng, longest = jax.random.key(data.seed), trained.data.bucket_lengths[-1]

    def run(tokens: jax.Array, *segments: jax.Array) -> dict[str, jax.Array]:
        given = {"tokens": tokens, "valid": tokens != PADDING, **dict(zip(("segments",), segments))}
        if data.positions == "segment":
            given["positions"] = _restarted(segments[0])
        return served(task.forward(trained.model, weights(), given, rng, longest=longest), facts)

    limit = trained.model.longest_text if length is None else None
    bounds = [] if limit is None else [f"t <= {limit}"]
    sizes = export.symbolic_shape(f"b, {length or 't'}", constraints=bounds)
    shapes = [jax.ShapeDtypeStruct(sizes, jnp.int32)] * len(inputs(trained))
    return export.export(jax.jit(run), platforms=PLATFORMS)(*shapes)


def inputs(trained: Trained) -> tuple[str, ...]:
    """What a caller gives, in order."""
    return ("tokens",) if trained.settings.data.segments == "none" else ("tokens", "segments")


def _restarted(segments: jax.Array) -> jax.Array:
    """Positions ``[B T]`` that start at 0 in each segment."""
    index = jnp.arange(segments.shape[-1])
    begins = jnp.diff(segments, prepend=-1, axis=-1) != 0
    return index - jax.lax.cummax(jnp.where(begins, index, 0), axis=1)


def write(path: Path, made: Mapping[int | None, Any]) -> list[dict[str, Any]]:
    """Writes the programs; that of a length is called after it, ``model-24.stablehlo``.

    Returns:
      Of each its file, ``t``, its ``size`` in bytes and its sha256.
    """
    described = []
    for length, exported in made.items():
        file = path if length is None else path.with_name(f"{path.stem}-{length}{path.suffix}")
        content = bytes(exported.serialize())
        write_atomic(file, content)
        sha256 = hashlib.sha256(content).hexdigest()
        described.append({"file": file.name, "t": length, "size": len(content), "sha256": sha256})
    return described


def difference(trained: Trained, made: Mapping[int | None, Any], weights: Any) -> float:
    """The largest difference between what the programs and an evaluation say of random texts.

    Args:
      trained: the run.
      made: what ``programs`` made.
      weights: of the same member.
    """
    longest = trained.data.bucket_lengths[-1]
    return max(_difference(trained, exported, weights, length or longest) for length, exported in made.items())


def _difference(trained: Trained, exported: Any, weights: Any, length: int) -> float:
    assert trained.task.served is not None
    texts = _random(trained, length)
    params = recipe.spread(jax.tree.map(lambda leaf: leaf[None], weights), trained.settings)
    outputs = predict(trained.model, params, texts, trained.settings, trained.data.bucket_lengths)
    wanted = trained.task.served({name: jnp.asarray(array[0]) for name, array in outputs.items()}, trained.facts)
    rows, columns = np.nonzero(np.arange(length) < texts.lengths[:, None])
    arrays = []
    for flat in (texts.flat, texts.segments):
        if flat is not None:
            arrays.append(np.zeros((len(texts), length), np.int32))
            arrays[-1][rows, columns] = flat
    found = jax.jit(exported.call)(*arrays)
    return max(float(np.abs(found[name] - array).max()) for name, array in wanted.items())


def _random(trained: Trained, longest: int) -> Encoded:
    """Texts of all lengths, without labels."""
    rng = np.random.default_rng(0)
    lengths = np.linspace(1, longest, _CHECKED).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = rng.integers(1, trained.data.vocab_size, offsets[-1]).astype(np.int32)
    if trained.settings.data.segments == "none":
        return Encoded(flat, offsets, np.full(_CHECKED, -1, np.int32))
    segments = np.concatenate([np.arange(length, dtype=np.int32) // 5 for length in lengths])
    positions = restarted(segments, offsets) if trained.settings.data.positions == "segment" else None
    return Encoded(flat, offsets, np.full(_CHECKED, -1, np.int32), segments, positions)
