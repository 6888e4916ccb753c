"""What tasks share that have an answer at each token: their loss, and what a member says of the places that are asked.

Outputs are ``[n K]``, in the order of the places:

* asked: whether a place of a row is asked; its other outputs are 0 where it is not;
* known: whether it is known what is right there;
* nll: ``-log p`` of what is right, in nats; 0 where that is not known;
* right: whether it is the likeliest;
* predicted: the likeliest.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention.data.contracts import ELSEWHERE, Encoded
from attention.tasks import Batch, Outputs, smoothed_cross_entropy


def answered(encoded: Encoded) -> bool:
    """Whether it is known of any place what is right."""
    return encoded.wanted is not None and bool((encoded.wanted >= 0).any())


def example_weights(batch: Batch, class_weights: tuple[float, ...] | None) -> jax.Array:
    """The places of each row of which it is known what is right; 0 for filler."""
    return batch["weight"] * jnp.sum(batch["wanted"] >= 0, axis=-1)


def scored(logits: jax.Array, batch: Batch, smoothing: Any) -> tuple[jax.Array, jax.Array]:
    """The mean loss of the places of each row ``[B]``, and the share of them that is right; logits are ``[B K C]``."""
    wanted = batch["wanted"]
    known, right = wanted >= 0, jnp.argmax(logits, -1) == wanted
    losses = jnp.where(known, smoothed_cross_entropy(logits, jnp.maximum(wanted, 0), smoothing), 0.0)
    count = jnp.maximum(jnp.sum(known, axis=-1), 1)
    return jnp.sum(losses, axis=-1) / count, jnp.sum(right & known, axis=-1) / count


def forward(model: Any, params: Any, given: Mapping[str, jax.Array], rng: jax.Array, *, longest: int) -> dict[str, jax.Array]:
    """What a member says of the places of a batch, as above."""
    read = {name: value for name, value in given.items() if name != "wanted"}
    wanted = given["wanted"]
    logits = model.apply({"params": params}, **read, rng=rng, train=False, dropout=None)[0]
    asked, known, predicted = wanted != ELSEWHERE, wanted >= 0, jnp.argmax(logits, -1).astype(jnp.int32)
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.maximum(wanted, 0)[..., None], axis=-1)[..., 0]
    finite = jnp.all(jnp.isfinite(logits), axis=-1)  # what is not finite says nothing
    return {
        "asked": asked,
        "known": known,
        "nll": jnp.where(known, -log_p, 0.0),
        "right": known & (predicted == wanted) & finite,
        "predicted": jnp.where(asked, predicted, 0),
    }


def check_known(encoded: Encoded) -> None:
    """Raises ValueError where there is nothing to score by."""
    if not answered(encoded):
        raise ValueError(f"a score wants what is right at one place or more, and none is known{cut_off(encoded)}")


def cut_off(encoded: Encoded) -> str:
    """Where texts are cut off, how many, as what may be why nothing is known."""
    cut = encoded.truncated
    if cut is None or not cut.any():
        return ""
    return f": config.data.max_length={encoded.lengths.max()} cuts off {cut.sum():,} of {len(cut):,} texts"


def told(outputs: Outputs) -> dict[str, np.ndarray]:
    """Outputs of one member at all places that are asked, ``[total]``, in the order of the text."""
    asked = outputs["asked"]
    return {name: array[asked] for name, array in outputs.items() if name != "asked"}


def of_rows(outputs: Outputs) -> dict[str, np.ndarray]:
    """Of each row ``[n]``: the nats of its places, how many are known, and whether all of them are right."""
    known = outputs["known"]
    right = np.logical_and((outputs["right"] | ~known).all(axis=-1), known.any(axis=-1))
    return {"nats": outputs["nll"].sum(axis=-1, dtype=np.float64), "tokens": known.sum(axis=-1), "correct": right}
