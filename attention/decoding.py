"""Writing a text token by token, under jit: the likeliest token each time, or a beam of the likeliest beginnings.

A model is a function ``advance(tokens, place, remembered) -> (logits, remembered)``: it is given the tokens before each place
``[B U]`` (``START`` before the first), of which those up to ``place`` count, and returns float ``[B V]`` for the token at that
place. Leaves of ``remembered`` have the batch as their first axis.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

START = 0  # stands before the first token; as padding, it is never one itself

Advance = Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, Any]]


def shifted(targets: Int[Array, "*B U"]) -> Int[Array, "*B U"]:
    """The tokens before each place: ``START``, then ``targets`` but for the last."""
    return jnp.concatenate([jnp.full_like(targets[..., :1], START), targets[..., :-1]], axis=-1)


def greedy(
    advance: Advance, remembered: Any, *, batch: int, length: int, end: int
) -> tuple[Int[Array, "B U"], Float[Array, " B"]]:
    """At each place the token of the largest logit, up to and with ``end``.

    Args:
      advance: the model, as above.
      remembered: what it remembers before the first place.
      batch: B.
      length: U, tokens at most, at least 1.
      end: the token after which a text is finished.

    Returns:
      int32 ``[B U]``, 0 after the end, and the logarithm of their probability ``[B]``. A text that has no end within ``length``
      is cut off there.

    Example:
      >>> attention.greedy(lambda tokens, place, state: (jnp.eye(4)[tokens[:, place] + 1], state), (), batch=1, length=5, end=3)
      ([[1, 2, 3, 0, 0]], [-2.231])
    """
    tokens, scores = beam(advance, remembered, batch=batch, length=length, end=end, width=1)
    return tokens[:, 0], scores[:, 0]


def beam(
    advance: Advance,
    remembered: Any,
    *,
    batch: int,
    length: int,
    end: int,
    width: int,
    length_penalty: float = 0.0,
) -> tuple[Int[Array, "B W U"], Float[Array, "B W"]]:
    """Beam search: of all continuations of the W likeliest beginnings, the W likeliest.

    Beginnings compare by ``log p``; what is returned is in order of ``log p / ((5 + n) / 6)^α``, for a text of n tokens, its
    end among them. A finished text stays in the beam as it is.

    Args:
      advance: the model, as above, for B·W rows: the beginnings of a text are next to each other.
      remembered: what it remembers before the first place, of B rows.
      batch: B.
      length: U, tokens at most, at least 1.
      end: the token after which a text is finished.
      width: W, at least 1; with 1 the search is greedy.
      length_penalty: α, at least 0; 0 for none.

    Returns:
      int32 ``[B W U]``, best first, 0 after the end, and ``log p`` ``[B W]``, -inf where there are fewer than W texts.

    Raises:
      ValueError: for a length, width or penalty out of range.

    Source: the penalty after Wu et al. 2016 (arXiv 1609.08144), eq. 14, without their coverage.
    """
    for name, value, least in (("length", length, 1), ("width", width, 1), ("length_penalty", length_penalty, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    spread = lambda leaf: jnp.repeat(leaf, width, axis=0) if width > 1 else leaf
    first = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)  # all beginnings are one before the first place
    state = (
        jnp.int32(0),
        jnp.zeros((batch, width, length), jnp.int32),
        jnp.broadcast_to(first, (batch, width)),
        jnp.zeros((batch, width), jnp.bool_),
        jax.tree.map(spread, remembered),
    )

    def going(state: Any) -> jax.Array:
        return (state[0] < length) & ~jnp.all(state[3] | jnp.isneginf(state[2]))

    def step(state: Any) -> Any:
        place, written, scores, done, remembered = state
        logits, remembered = advance(shifted(written).reshape(batch * width, length), place, remembered)
        log_p = jax.nn.log_softmax(logits.astype(jnp.float32)).reshape(batch, width, -1)
        log_p = log_p.at[..., START].set(-jnp.inf)
        nothing = jnp.where(jnp.arange(log_p.shape[-1]) == START, 0.0, -jnp.inf)
        total = scores[..., None] + jnp.where(done[..., None], nothing, log_p)
        scores, chosen = jax.lax.top_k(total.reshape(batch, -1), width)
        origin, token = jnp.divmod(chosen.astype(jnp.int32), log_p.shape[-1])
        if width > 1:
            take = lambda leaf: jnp.take_along_axis(leaf, origin.reshape(batch, width, *[1] * (leaf.ndim - 2)), axis=1)
            rows = lambda leaf: take(leaf.reshape(batch, width, *leaf.shape[1:])).reshape(leaf.shape)
            written, done, remembered = take(written), take(done), jax.tree.map(rows, remembered)
        return place + 1, written.at[..., place].set(token), scores, done | (token == end), remembered

    _, written, scores, _, _ = jax.lax.while_loop(going, step, state)
    count = jnp.sum(written != START, axis=-1)
    order = jnp.argsort(-scores / ((5.0 + count) / 6.0) ** length_penalty, axis=-1, stable=True)
    return jnp.take_along_axis(written, order[..., None], axis=1), jnp.take_along_axis(scores, order, axis=1)
