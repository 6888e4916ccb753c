"""What attention looks like while a run trains: four numbers per layer and head, whatever the normalizer.

::

  entropy = -sum_j p_j log p_j  with  p_j = |a_j| / sum_k |a_k|     in nats; 0 log 0 = 0, and 0 for a row of zeros
  support = the number of keys whose weight is not exactly 0
  largest = max_j |a_j|
  row_sum = sum_j a_j

each the mean over the rows a_i of all texts that have an allowed key. The absolute values give signed and unnormalised weights
a meaning too: the entropy says how evenly a query spreads its attention, from 0 on one key to log n on n keys, and ``row_sum``
what the normalisation made of its size.

The texts are the same few of the validation split at every validation, whatever the seed, so that curves compare.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention.attend import completed
from attention.data.batches import gather, inputs
from attention.data.dataset import Encoded
from attention.models.classifier import call_of
from attention.training.cohort.members import Axis, over_members, resolve_axis

STATISTICS = ("entropy", "support", "largest", "row_sum")
TEXTS = 16  # at most
WEIGHTS = 2**21  # of one layer, at most, unless a single text has more


def measure(model: Any, params: Any, encoded: Encoded, *, axis: str, seed: int) -> dict[str, np.ndarray]:
    """The statistics of each member on ``sample(encoded)``, without dropout.

    Args:
      model: the classifier; one program is compiled for each model, axis and sample.
      params: its parameters with a leading axis of members.
      encoded: the validation split.
      axis: how to go over the members: "map", "vmap" or "auto".
      seed: ``config.data.seed``; fixes what a method draws at random even at test.

    Returns:
      float32 ``[M L N]`` by name (``STATISTICS``), for L layers with N heads of weights; ``{}`` where the model has no
      attention weights. A member's numbers are those of the run with its seed alone, bitwise where ``axis`` is "map".
    """
    if "mixer" not in model.encoder.uses:
        return {}
    batch = sample(encoded, heads=model.dims.num_heads, extra_tokens=model.extra_tokens)
    count = jnp.int32(len(jax.tree.leaves(params)[0]))  # an argument of the program, see over_members
    model = model.clone(kernel="dense")  # the one that returns weights
    found = _member_statistics(model, resolve_axis(axis), count, params, inputs(batch), jax.random.key(seed))
    return jax.device_get(found)


@functools.partial(jax.jit, static_argnames=("model", "axis"))
def _member_statistics(
    model: Any, axis: Axis, count: jax.Array, params: Any, given: dict[str, jax.Array], rng: jax.Array
) -> dict[str, jax.Array]:
    @jax.jit  # traced once, for the shapes and for the program
    def measured(member: Any) -> dict[str, jax.Array]:
        captured = model.apply({"params": member}, **given, rng=rng, train=False, capture=True)[1]
        weights = [value for name, value in captured.items() if name.endswith("/weights")]  # layer by layer
        where = allowed_pairs(model, **{name: given[name] for name in given if name != "tokens"})
        layers = [statistics(each, where) for each in weights]
        return {name: jnp.stack([layer[name] for layer in layers]) for name in STATISTICS} if layers else {}

    one = jax.eval_shape(measured, jax.tree.map(lambda leaf: leaf[0], params))
    empty = jax.tree.map(lambda leaf: jnp.zeros((len(jax.tree.leaves(params)[0]), *leaf.shape), leaf.dtype), one)
    return over_members(lambda _, member: measured(member), axis)(count, empty, params)


@jax.jit
def statistics(weights: jax.Array, where: jax.Array) -> dict[str, jax.Array]:
    """The statistics of attention weights, as defined above.

    Args:
      weights: float32 ``[B N T S]``, exactly 0 at keys that are not allowed; of any sign and any sum.
      where: bool ``[B #N T S]``, the allowed pairs. Rows without one are left out; NaN where there is no other row.

    Returns:
      float32 ``[N]`` by name.

    Example:
      >>> statistics(jnp.array([[[[0.5, -0.5, 0.0]]]]), jnp.ones((1, 1, 1, 3), bool))  # entropy log 2
      {'entropy': [0.6931472], 'support': [2.], 'largest': [0.5], 'row_sum': [0.]}
    """
    size = jnp.abs(weights)
    total = jnp.sum(size, axis=-1, keepdims=True)
    rows = {
        "entropy": jnp.sum(jax.scipy.special.entr(size / jnp.where(total == 0, 1, total)), axis=-1),
        "support": jnp.sum(weights != 0, axis=-1, dtype=jnp.float32),
        "largest": jnp.max(size, axis=-1),
        "row_sum": jnp.sum(weights, axis=-1),
    }
    counts = jnp.broadcast_to(jnp.any(where, axis=-1), weights.shape[:-1])
    return {name: jnp.mean(row, axis=(0, 2), where=counts) for name, row in rows.items()}


def allowed_pairs(model: Any, valid: jax.Array, **given: Any) -> jax.Array:
    """Which query may attend to which key in texts ``valid`` ``[B T]``: bool ``[B 1 T' T']``, T' with the tokens of pooling and
    encoder that stand before them.

    ``given`` are positions and segments, where the model is given them.
    """
    call = call_of(model, valid, **given)
    call = model.encoder.inner(call, valid.shape[-1] + model.extra_tokens)
    valid = call.q_valid
    assert valid is not None  # a text's validity is given
    length = valid.shape[-1]
    apply = model.parts.mask.apply
    mask = None if apply is None else apply(completed(call, length, length), (length, length))
    pairs = valid[:, None, :, None] & valid[:, None, None, :]
    return pairs if mask is None else pairs & mask


def sample(encoded: Encoded, *, heads: int, extra_tokens: int = 0) -> dict[str, np.ndarray]:
    """A few texts of a split, evenly spaced in order of length: as many, of 16 at most, as have ``WEIGHTS`` weights.

    Args:
      encoded: the split, of one text or more.
      heads: N.
      extra_tokens: what the pooling puts before a text.

    Returns:
      ``tokens`` and ``valid`` ``[n T]`` as of ``gather``; at least one text, that of the median length.
    """
    order = np.argsort(encoded.lengths, kind="stable")
    chosen, length = order[:0], 0
    for count in range(min(TEXTS, len(order)), 0, -1):
        chosen = order[(2 * np.arange(count) + 1) * len(order) // (2 * count)]
        length = -(-int(encoded.lengths[chosen[-1]]) // 8) * 8
        if count * heads * (length + extra_tokens) ** 2 <= WEIGHTS:
            break
    return gather(encoded, chosen, length)
