"""Validation and test of models that write: what each member writes of a split, and how good it is."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.data.batches import evaluation_batches, inputs
from attention.data.contracts import PADDING, UNKNOWN
from attention.data.dataset import Encoded
from attention.evaluation.trained import batching
from attention.models.seq2seq import write
from attention.runs.directory import DataRecord
from attention.training import config
from attention.training.cohort.members import Axis, over_members, resolve_axis

METRICS = ("exact_match", "token_accuracy", "nll")


class Written(NamedTuple):
    """What a member writes of n sources, and what it says of their targets.

    Attributes:
      tokens: int32 ``[n U]``, 0 after the end.
      log_p: the logarithm of the probability of the target, ``[n]``; 0 where there is none.
      right: how many tokens of the target are the likeliest given those before them, ``[n]``.
    """

    tokens: np.ndarray
    log_p: np.ndarray
    right: np.ndarray


def score(written: Written, encoded: Encoded) -> dict[str, float]:
    """How often all of a target was written, and what the model says of its tokens.

    * exact_match: share of the sources whose target was written token for token, with its end and nothing else; a target with
      an unknown token, which stands for many, is never matched;
    * token_accuracy: share of the tokens of all targets that are the likeliest given those before them;
    * nll: mean over these tokens of ``-log p``, in nats.

    Args:
      written: what a member wrote.
      encoded: the split, with targets.

    Returns:
      ``{"exact_match", "token_accuracy", "nll", "count"}``; count is n.

    Raises:
      ValueError: for a split without targets, or of another size.
    """
    if encoded.targets is None or len(encoded) != len(written.tokens):
        have = "none" if encoded.targets is None else str(len(encoded))
        raise ValueError(f"a score wants one target for each of {len(written.tokens)} sources, got {have}")
    count = int(encoded.targets.lengths.sum())
    return {
        "exact_match": float(matches(written.tokens, encoded.targets).mean()),
        "token_accuracy": float(written.right.sum() / count),
        "nll": float(-written.log_p.astype(np.float64).sum() / count),
        "count": len(encoded),
    }


def matches(tokens: np.ndarray, targets: Encoded) -> np.ndarray:
    """Whether each row of ``[n U]`` is its target and nothing more, bool ``[n]``."""
    wanted = np.zeros((len(targets), max(tokens.shape[1], int(targets.lengths.max()))), np.int32)
    inside = np.arange(wanted.shape[1]) < targets.lengths[:, None]
    wanted[inside] = targets.flat
    have = np.pad(tokens, ((0, 0), (0, wanted.shape[1] - tokens.shape[1])))
    return (have == wanted).all(axis=1) & (wanted != UNKNOWN).all(axis=1)


def run_written(
    model: Any,
    params: Any,
    encoded: Encoded,
    settings: config.Config,
    record: DataRecord,
    *,
    width: int = 1,
    length_penalty: float = 0.0,
) -> list[Written]:
    """What each member writes of each source, in the batches in which a run evaluates.

    Args:
      model: the model; programs are compiled once for each model, axis, search and shape of a batch.
      params: its parameters with a leading axis of members.
      encoded: the sources; where they have targets, these are scored too.
      settings: of the run.
      record: of its data. A target may get as long as the batch is padded, or, without targets, as the longest of training.
      width: of the beam, 1 for greedy.
      length_penalty: α of the beam.
    """
    over, rng = resolve_axis(settings.cohort.axis), jax.random.key(settings.data.seed)
    members = len(jax.tree.leaves(params)[0])
    count, longest = jnp.int32(members), record.bucket_lengths[-1]
    pending = []
    for indices, batch in evaluation_batches(encoded, **batching(model, encoded, settings, record)):
        given = inputs(batch)
        length = given["tokens"].shape[-1] if "targets" in given else longest
        search = (length, width, length_penalty)
        pending.append((indices, _member_written(model, over, search, count, params, given, rng)))
    most = max(block["tokens"].shape[-1] for _, block in pending)
    found = {
        "tokens": np.zeros((members, len(encoded), most), np.int32),
        "log_p": np.zeros((members, len(encoded)), np.float32),
        "right": np.zeros((members, len(encoded)), np.int32),
    }
    for indices, block in pending:
        real = indices >= 0
        tokens = np.asarray(block["tokens"])
        found["tokens"][:, indices[real], : tokens.shape[-1]] = tokens[:, real]
        for name in ("log_p", "right"):
            found[name][:, indices[real]] = np.asarray(block[name])[:, real]
    return [Written(**{name: array[member] for name, array in found.items()}) for member in range(members)]


@functools.partial(jax.jit, static_argnames=("model", "axis", "search"))
def _member_written(
    model: Any,
    axis: Axis,
    search: tuple[int, int, float],
    count: jax.Array,
    params: Any,
    given: dict[str, jax.Array],
    rng: jax.Array,
) -> dict[str, jax.Array]:
    length, width, length_penalty = search
    source = {name: value for name, value in given.items() if name != "targets"}

    def one(_: Any, member: Any) -> dict[str, jax.Array]:
        options = {"length": length, "width": width, "length_penalty": length_penalty}
        tokens, log_p = write(model, member, **source, **options, rng=rng)
        found = {"tokens": tokens[:, 0], "log_p": jnp.zeros_like(log_p[:, 0]), "right": jnp.zeros(len(tokens), jnp.int32)}
        if "targets" in given:
            targets, inside = given["targets"], given["targets"] != PADDING
            logits, _ = model.apply({"params": member}, **given, rng=rng, train=False)
            each = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
            found["log_p"] = jnp.sum(jnp.where(inside, each, 0.0), axis=-1)
            found["right"] = jnp.sum((jnp.argmax(logits, -1) == targets) & inside, axis=-1, dtype=jnp.int32)
        return found

    shapes = jax.eval_shape(one, None, jax.tree.map(lambda leaf: leaf[0], params))
    members = len(jax.tree.leaves(params)[0])
    empty = jax.tree.map(lambda leaf: jnp.zeros((members, *leaf.shape), leaf.dtype), shapes)
    return over_members(one, axis)(count, empty, params)
