"""Writing with a language model: a text goes on token by token, each drawn from what the model says of it.

A model is one of ``attention.models.tokens``: ``begin(batch, length)`` makes what is remembered of at most ``length`` tokens,
and ``advance(tokens, place, remembered, rng)`` reads tokens ``[B t]`` that come next and gives the logits ``[B V]`` after them.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from attention import arguments
from attention.messages import quoted


def log_odds(
    logits: Float[Array, "*B V"], *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Float[Array, "*B V"]:
    """What a token is drawn by: the logarithm of its probability up to a constant, -inf where it is never drawn.

    Of ``softmax(logits / temperature)`` the ``top_k`` likeliest are left, and of these, after they are made to sum to one, the
    fewest likeliest that together reach ``top_p``. Of equal ones the first is the likelier.

    Args:
      logits: ``[*B V]``.
      temperature: 0 or more; 0 leaves the likeliest alone.
      top_k: how many are left; 0 for all.
      top_p: in (0, 1]; 1 leaves all.

    Example:
      >>> log_odds(jnp.array([0.0, 2.0, 1.0]), top_k=2)
      [-inf, 0.0, -1.0]

    Source: nucleus sampling, top_p: Holtzman et al. 2020 (arXiv 1904.09751); top_k: Fan et al. 2018 (arXiv 1805.04833).
    """
    if temperature == 0:
        temperature, top_k = 1.0, 1
    logits = logits.astype(jnp.float32)
    below = logits - jnp.max(logits, axis=-1, keepdims=True)
    divisor = min(temperature, float(jnp.finfo(jnp.float32).max))
    scaled = jnp.where(below == 0, 0.0, below / divisor)  # of the least temperatures float32 makes 0
    order = jnp.argsort(-scaled, axis=-1, stable=True)
    ranked = jnp.take_along_axis(scaled, order, axis=-1)
    if top_k:
        ranked = ranked.at[..., top_k:].set(-jnp.inf)
    if top_p < 1:
        shares = jax.nn.softmax(ranked, axis=-1)
        likelier = jnp.cumsum(shares, axis=-1) - shares
        ranked = jnp.where(likelier < top_p, ranked, -jnp.inf)
    return jnp.take_along_axis(ranked, jnp.argsort(order, axis=-1), axis=-1)


def continued(
    model: Any,
    params: Any,
    prompt: Sequence[int] | np.ndarray,
    *,
    count: int,
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    window: int | None = None,
    end: int | None = None,
    rng: jax.Array | None = None,
) -> Iterator[np.ndarray]:
    """The tokens that follow a prompt, one after another, as they are written.

    A window that is full is begun anew with its last half, so that each token is drawn given half a window at least; of a
    prompt longer than a window that half is all that is read (``sliding`` says so).

    Args:
      model: a language model.
      params: its parameters.
      prompt: ids ``[P]``, one at least, with what every text begins with.
      count: how many tokens to write.
      samples: S, how many texts, fewer than 2**20; the first is the same however many there are.
      temperature, top_k, top_p: as of ``log_odds``.
      seed: of the draws, in [0, 2**32).
      window: tokens the model reads at most; None for the longest text that it is made for.
      end: the id that ends a text: after it come only more of it, and when all have ended, nothing; None for no end.
      rng: key of what a method draws at random in evaluation too.

    Returns:
      An iterator of int32 ``[S]``, at most ``count`` of them.

    Raises:
      ValueError: for numbers out of range, ids that the model does not have, and a model that is not of the next token.

    Example:
      >>> for tokens in continued(model, params, [64, 3, 17], count=100, temperature=0.8): ...
    """
    limit = _limit(model, window)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    check_options(count=count, samples=samples, seed=seed, **options)
    _check(model, prompt, limit)
    text = np.tile(np.asarray(prompt, np.int32), (samples, 1))
    remembered = model.begin(samples, limit)
    return _written(model, params, text, remembered, count, limit, end, jax.random.key(seed), rng, options)


def check_options(
    *,
    count: int,
    samples: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    called: Callable[[str], str] = str,
) -> None:
    """Raises ValueError for an option of ``continued`` that is out of range; ``called`` is what each is called in messages."""
    for name, size, least in (("count", count, 1), ("samples", samples, 1), ("top_k", top_k, 0), ("seed", seed, 0)):
        arguments.check_size(called(name), size, least)
    for name, size, most in (("samples", samples, 20), ("seed", seed, 32)):
        if size >= 2**most:
            raise ValueError(f"{called(name)} wants a number below 2**{most}, got {size}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"{called('temperature')} wants a number from 0 on, got {quoted(temperature)}")
    if not 0 < top_p <= 1:
        raise ValueError(f"{called('top_p')} wants a number in (0, 1], got {quoted(top_p)}")


def sliding(model: Any, prompt: int, count: int, window: int | None = None) -> str:
    """A note on what a text of ``prompt`` tokens and ``count`` more forgets; "" where all of it fits into a window."""
    limit = _limit(model, window)
    if prompt + count <= limit + 1:  # the last token is not read
        return ""
    half = _half(limit)
    cut = f"of the {prompt} tokens of the prompt the last {half} are read; " if prompt > limit else ""
    return f"{cut}the model reads {limit} tokens at once: whenever these are full, it goes on from the last {half} of them"


def _limit(model: Any, window: int | None) -> int:
    return model.dims.max_length if window is None else window


def _written(
    model: Any,
    params: Any,
    text: np.ndarray,
    remembered: Any,
    count: int,
    window: int,
    end: int | None,
    key: jax.Array,
    rng: jax.Array | None,
    options: dict[str, Any],
) -> Iterator[np.ndarray]:
    """``continued`` for what has been checked; ``text`` ``[S P]``."""
    half, place = _half(window), 0
    unread = text if text.shape[1] <= window else text[:, -half:]
    done = np.zeros(len(text), bool)
    for number in range(count):
        if place + unread.shape[1] > window:
            unread, place = text[:, -half:], 0  # what is remembered behind a place is not seen from it
        at = jnp.int32(place)
        drawn, remembered = _step(model, params, unread, at, remembered, jax.random.fold_in(key, number), rng, **options)
        place += unread.shape[1]
        tokens = np.where(done, np.int32(end or 0), np.asarray(drawn))
        yield tokens
        if end is not None:
            done |= tokens == end
            if done.all():
                return
        unread = tokens[:, None]
        text = np.concatenate([text[:, -window:], unread], axis=1)


@functools.partial(jax.jit, static_argnames=("model", "temperature", "top_k", "top_p"), donate_argnames=("remembered",))
def _step(
    model: Any, params: Any, tokens: Any, place: Any, remembered: Any, key: Any, rng: Any, **options: Any
) -> tuple[jax.Array, Any]:
    """The token after ``tokens`` ``[S t]`` for each text, int32 ``[S]``, and what is remembered."""
    logits, remembered = model.apply({"params": params}, tokens, place, remembered, rng, method="advance")
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(len(tokens)))
    drawn = jax.vmap(jax.random.categorical)(keys, log_odds(logits, **options))
    return drawn.astype(jnp.int32), remembered


def _half(window: int) -> int:
    return max(window // 2, 1)


def _check(model: Any, prompt: Any, window: int) -> None:
    """Raises ValueError for what cannot be written with."""
    if getattr(model, "num_classes", None) != 0:
        raise ValueError("writing wants a language model, config.task=lm, whose classes are its tokens")
    arguments.check_size("window", window, 1)
    ids, V = np.asarray(prompt), model.dims.vocab_size
    if ids.ndim != 1 or not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"prompt wants one id or more, in a row, got {quoted(prompt)}")
    if (outside := ids[(ids < 0) | (ids >= V)]).size:
        raise ValueError(f"prompt wants ids in [0, {V}), got {outside[0]}")
