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

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention.attend import completed
from attention.data.batches import gather
from attention.data.contracts import Encoded

STATISTICS = ("entropy", "support", "largest", "row_sum")
TEXTS = 16  # at most
WEIGHTS = 2**21  # of one layer, at most, unless a single text has more


def attention_sample(model: Any, encoded: Encoded) -> dict[str, np.ndarray] | None:
    """``sample`` for a classifier; None where nothing attends."""
    if "mixer" not in model.encoder.uses:
        return None
    return sample(encoded, heads=model.dims.num_heads, extra_tokens=model.extra_tokens)


def measure(model: Any, params: Any, given: dict[str, jax.Array], rng: jax.Array) -> dict[str, jax.Array]:
    """The statistics of one member, without dropout.

    Args:
      model: the classifier.
      params: its parameters.
      given: what the model reads of a batch.
      rng: fixes what a method draws at random even at test.

    Returns:
      float32 ``[L N]`` by name (``STATISTICS``), for L layers with N heads of weights; ``{}`` where the model has no attention
      weights.
    """
    model = model.clone(kernel="dense")  # the one that returns weights
    captured = model.apply({"params": params}, **given, rng=rng, train=False, capture=True)[1]
    weights = [value for name, value in captured.items() if name.endswith("/weights")]  # layer by layer
    where = allowed_pairs(model, **{name: given[name] for name in ("valid", "positions", "segments") if name in given})
    layers = [statistics(each, where) for each in weights]
    return {name: jnp.stack([layer[name] for layer in layers]) for name in STATISTICS} if layers else {}


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
    call = model.call_of(valid, **given)
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
