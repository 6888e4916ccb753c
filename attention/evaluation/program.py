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
from attention.runs import json_files
from attention.training.cohort.predict import predict

PLATFORMS = ("cpu", "cuda", "tpu")
_CHECKED = 16  # random texts


def traced(trained: Trained, weights: Callable[[], Any]) -> Any:
    """The program, a ``jax.export.Exported`` of int32 ``[b t]``, as ``inputs`` names them, that returns arrays by name.

    Args:
      trained: the run.
      weights: makes those of a member; called under the trace.

    Raises:
      ValueError: for a task whose answers are written place by place, or a part of which jax.export cannot leave sizes open.
    """
    installation.require("flatbuffers")
    from jax import export

    task, data, served = trained.task, trained.settings.data, trained.task.served
    if served is None:
        raise ValueError(f"config.task={trained.settings.task} leaves as weights alone: --export=FILE.safetensors")
    rng, longest = jax.random.key(data.seed), trained.data.bucket_lengths[-1]

    def run(tokens: jax.Array, *segments: jax.Array) -> dict[str, jax.Array]:
        given = {"tokens": tokens, "valid": tokens != PADDING, **dict(zip(("segments",), segments))}
        if data.positions == "segment":
            given["positions"] = _restarted(segments[0])
        return served(task.forward(trained.model, weights(), given, rng, longest=longest))

    limit = trained.model.longest_text
    open_sizes = export.symbolic_shape("b, t", constraints=[] if limit is None else [f"t <= {limit}"])
    shapes = [jax.ShapeDtypeStruct(open_sizes, jnp.int32)] * len(inputs(trained))
    try:
        return export.export(jax.jit(run), platforms=PLATFORMS)(*shapes)
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{shown(trained.run.path)} has a part that wants to know sizes before it runs: {reason}") from None


def inputs(trained: Trained) -> tuple[str, ...]:
    """What a caller gives, in order."""
    return ("tokens",) if trained.settings.data.segments == "none" else ("tokens", "segments")


def _restarted(segments: jax.Array) -> jax.Array:
    """Positions ``[B T]`` that start at 0 in each segment."""
    index = jnp.arange(segments.shape[-1])
    begins = jnp.diff(segments, prepend=-1, axis=-1) != 0
    return index - jax.lax.cummax(jnp.where(begins, index, 0), axis=1)


def write(path: Path, exported: Any, facts: Mapping[str, Any]) -> int:
    """Writes the program, and beside it ``facts`` and its hash as ``PATH.json``; returns the bytes of the program."""
    content = bytes(exported.serialize())
    write_atomic(path, content)
    about = {"platforms": PLATFORMS, "jax": jax.__version__, "calling_convention": exported.calling_convention_version}
    program = {**about, "program_sha256": hashlib.sha256(content).hexdigest()}
    json_files.write(path.with_name(f"{path.name}.json"), {**facts, **program})
    return len(content)


def difference(trained: Trained, exported: Any, weights: Any) -> float:
    """The largest difference between what the program and an evaluation say of random texts.

    Args:
      trained: the run.
      exported: what ``traced`` made.
      weights: of the same member.
    """
    assert trained.task.served is not None
    texts = _random(trained)
    params = jax.tree.map(lambda leaf: leaf[None], weights)
    outputs = predict(trained.model, params, texts, trained.settings, trained.data.bucket_lengths)
    wanted = trained.task.served({name: jnp.asarray(array[0]) for name, array in outputs.items()})
    rows, columns = np.nonzero(np.arange(texts.lengths.max()) < texts.lengths[:, None])
    arrays = []
    for flat in (texts.flat, texts.segments):
        if flat is not None:
            arrays.append(np.zeros((len(texts), texts.lengths.max()), np.int32))
            arrays[-1][rows, columns] = flat
    found = jax.jit(exported.call)(*arrays)
    return max(float(np.abs(found[name] - array).max()) for name, array in wanted.items())


def _random(trained: Trained) -> Encoded:
    """Texts of all lengths of training, without labels."""
    rng, longest = np.random.default_rng(0), trained.data.bucket_lengths[-1]
    lengths = np.linspace(1, longest, _CHECKED).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = rng.integers(1, trained.data.vocab_size, offsets[-1]).astype(np.int32)
    if trained.settings.data.segments == "none":
        return Encoded(flat, offsets, np.full(_CHECKED, -1, np.int32))
    segments = np.concatenate([np.arange(length, dtype=np.int32) // 5 for length in lengths])
    positions = restarted(segments, offsets) if trained.settings.data.positions == "segment" else None
    return Encoded(flat, offsets, np.full(_CHECKED, -1, np.int32), segments, positions)
