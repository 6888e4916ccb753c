"""Recurrences over texts: LSTM and GRU, in either direction, as functions of their weights.

One loop runs all directions side by side, in blocks of steps: the inputs of a block are projected by one matrix product for
each direction, and a step takes one more. The backward pass runs a block again instead of keeping what its steps computed.
Padding leaves the state as it is, so a recurrence over a text does not know where its padding stands; the reverse direction
starts at the last valid token.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attention.carries import varying
from attention.documents import begins
from attention.placement import placed
from attention.precision import check_floating

CellName = Literal["lstm", "gru"]
BLOCK = 8  # steps that are projected at once, and between questions whether any text of the batch goes on


class Cell(NamedTuple):
    """A recurrence.

    Attributes:
      gates: G, how many blocks of U columns its weights have.
      carries: how many arrays ``[B U]`` its state has, the first of which is h.
      step: (state, inputs ``[B G·U]``, h R ``[B G·U]``) -> state.
      forget: which block is that of the forget gate; None where there is none.
    """

    gates: int
    carries: int
    step: Callable[[Any, jax.Array, jax.Array], Any]
    forget: int | None = None


def _lstm_step(state: Any, inputs: jax.Array, recurrent: jax.Array) -> Any:
    i, f, g, o = jnp.split(inputs + recurrent, 4, axis=-1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru_step(state: Any, inputs: jax.Array, recurrent: jax.Array) -> Any:
    (r, z, n), (hr, hz, hn) = jnp.split(inputs, 3, axis=-1), jnp.split(recurrent, 3, axis=-1)
    z = jax.nn.sigmoid(z + hz)
    return ((1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + hr) * hn) + z * state[0],)


CELLS: dict[str, Cell] = {"lstm": Cell(4, 2, _lstm_step, forget=1), "gru": Cell(3, 1, _gru_step)}


def lstm(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, "D G"],
    recurrent: Float[Array, "U G"],
    bias: Float[Array, " G"],
    where: Bool[Array, "*#B T"] | None = None,
    segments: Int[Array, "*#B T"] | None = None,
    *,
    reverse: bool = False,
) -> Float[Array, "*B T U"]:
    """Long short-term memory, ``c_t = σ(f) c_{t-1} + σ(i) tanh(g)``, ``h_t = σ(o) tanh(c_t)``.

    The columns of ``x_t W + h_{t-1} R + b`` are i, f, g and o, U of each.

    Args:
      x: ``[*B T D]``.
      kernel: W, ``[D 4U]``.
      recurrent: R, ``[U 4U]``.
      bias: b, ``[4U]``. That of f is often started at 1, so that nothing is forgotten at first.
      where: bool ``[*#B T]``, False at padding, which leaves the state as it is; None for all valid.
      segments: int ``[*#B T]``, the segment of each position: where another begins, the state is 0; None for one.
      reverse: whether the last valid position comes first.

    Returns:
      h, ``[*B T U]``; zeros at padding.

    Raises:
      ValueError: where W, R and b do not go together.

    Example:
      >>> attention.lstm(jnp.zeros((2, 1)), jnp.zeros((1, 4)), jnp.zeros((1, 4)), jnp.array([0.0, 0.0, 9.0, 0.0]))
      [[0.2311], [0.3175]]

    Source: Hochreiter and Schmidhuber 1997 (Neural Computation 9) with the forget gate of Gers et al. 2000; the bias of that
    gate at 1 after Jozefowicz et al. 2015 (ICML). ``torch.nn.LSTM`` has two biases, which add up.
    """
    return recur("lstm", x, [(kernel, recurrent, bias)], [reverse], where, segments)[0]


def gru(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, "D G"],
    recurrent: Float[Array, "U G"],
    bias: Float[Array, " G"],
    where: Bool[Array, "*#B T"] | None = None,
    segments: Int[Array, "*#B T"] | None = None,
    *,
    reverse: bool = False,
) -> Float[Array, "*B T U"]:
    """Gated recurrent unit, ``h_t = (1 - z) tanh(n + r ⊙ h_{t-1} R_n) + z h_{t-1}``.

    The columns of ``x_t W + b`` are r, z and n, U of each; ``h_{t-1} R`` is added to r and z, of which the logistic is taken.

    Args:
      x: ``[*B T D]``.
      kernel: W, ``[D 3U]``.
      recurrent: R, ``[U 3U]``.
      bias: b, ``[3U]``.
      where, segments, reverse: as of ``lstm``.

    Returns:
      h, ``[*B T U]``; zeros at padding.

    Raises:
      ValueError: where W, R and b do not go together.

    Example:
      >>> attention.gru(jnp.zeros((2, 1)), jnp.zeros((1, 3)), jnp.zeros((1, 3)), jnp.array([0.0, 0.0, 9.0]))
      [[0.5], [0.75]]

    Source: Cho et al. 2014 (arXiv 1406.1078) with the reset gate after the product, as in Yang et al. 2016 (HAN, NAACL), eq.
    1-4; there z and 1 - z change places, which names the gate anew. ``torch.nn.GRU`` has one more bias, inside
    ``r ⊙ (h R_n + b_n)``.
    """
    return recur("gru", x, [(kernel, recurrent, bias)], [reverse], where, segments)[0]


def recur(
    name: CellName,
    x: jax.Array,
    weights: Sequence[tuple[jax.Array, jax.Array, jax.Array]],
    reverse: Sequence[bool],
    where: jax.Array | None = None,
    segments: jax.Array | None = None,
) -> list[jax.Array]:
    """Several recurrences of one kind and size over the same input, in one loop.

    Args:
      name: "lstm" or "gru".
      x: ``[*B T D]``.
      weights: of each: W ``[D G·U]``, R ``[U G·U]`` and b ``[G·U]``.
      reverse: of each, whether it runs from the end.
      where: bool ``[*#B T]``, False at padding; None for all valid.
      segments: int ``[*#B T]``; the state is 0 where another begins; None for one.

    Returns:
      The states of each, ``[*B T U]`` of the dtype of ``x``, zeros at padding. States are float32 at least while it runs.

    Raises:
      ValueError: where the weights do not go together.
    """
    check_floating(x)
    cell, (*batch, T, D), U = CELLS[name], x.shape, weights[0][1].shape[0]
    for kernel, recurrent, bias in weights:
        columns = kernel.shape[-1], recurrent.shape[-1], bias.shape[-1]
        if columns != (cell.gates * U,) * 3:
            raise ValueError(f"{name} of {U} units wants {cell.gates * U} columns in kernel, recurrent and bias, got {columns}")
    B = math.prod(batch)
    flat = lambda array: jnp.broadcast_to(array, (*batch, T)).reshape(B, T)
    valid = flat(jnp.ones(T, jnp.bool_) if where is None else where)
    # What stands at padding, NaN included, must not reach a gradient.
    x = jnp.where(valid[..., None], x.reshape(B, T, D), 0).swapaxes(0, 1)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    kept = [valid[:, ::-1] if back else valid for back in reverse]
    borders: list[Any] = [None] * len(weights)
    if segments is not None:
        numbers = flat(segments)
        borders = [begins(numbers[:, ::-1] if back else numbers, keep).T for back, keep in zip(reverse, kept)]
    matrices = [recurrent.astype(x.dtype) for _, recurrent, _ in weights]
    zero = (placed(jnp.zeros((B, U), wide), valid, 1),) * cell.carries

    def project(block: Any) -> Any:
        texts, *rest = block
        return [_product(text, kernel, wide) + bias.astype(wide) for text, (kernel, _, bias) in zip(texts, weights)], *rest

    def step(states: Any, given: Any) -> Any:
        found = []
        for state, z, keep, begin, matrix in zip(states, *given, matrices):
            before = state if begin is None else tuple(jnp.where(begin[:, None], 0, each) for each in state)
            after = cell.step(before, z, _product(before[0].astype(x.dtype), matrix, wide))
            found.append(tuple(jnp.where(keep[:, None], new, old) for new, old in zip(after, before)))
        return tuple(found), tuple(state[0] for state in found)

    texts = [x[::-1] if back else x for back in reverse]
    outputs = _blocks(step, project, (zero,) * len(weights), (texts, [keep.T for keep in kept], borders), T)
    outputs = [each[::-1] if back else each for each, back in zip(outputs, reverse)]
    return [jnp.where(valid[..., None], each.swapaxes(0, 1), 0).astype(x.dtype).reshape(*batch, T, U) for each in outputs]


def _product(x: jax.Array, matrix: jax.Array, dtype: Any) -> jax.Array:
    return jnp.einsum("...d,dg->...g", x, matrix.astype(x.dtype), preferred_element_type=dtype)


def _blocks(step: Callable[[Any, Any], Any], project: Callable[[Any], Any], start: Any, given: Any, length: int) -> Any:
    """The outputs of ``step`` over the leading axis of ``given``, each block of which ``project`` makes into what a step reads.

    Blocks without a valid position are left out, in the backward pass too.
    """
    count = -(-length // BLOCK)
    padded = lambda leaf: jnp.pad(leaf, ((0, count * BLOCK - length), *[(0, 0)] * (leaf.ndim - 1)))
    blocks = jax.tree.map(lambda leaf: padded(leaf).reshape(count, BLOCK, *leaf.shape[1:]), given)

    def run(states: Any, block: Any) -> Any:
        return jax.lax.scan(step, states, project(block))

    def left_out(states: Any, block: Any) -> Any:
        rows = jnp.zeros((BLOCK, 1, 1))
        zeros = (rows.astype(state[0].dtype) + jnp.zeros_like(state[0]) for state in states)
        return states, tuple(varying(each, state) for each, state in zip(zeros, states))

    @jax.checkpoint
    def some_or_none(states: Any, block: Any) -> Any:
        some = jnp.any(jnp.stack([keep.any() for keep in block[1]]))
        return jax.lax.cond(some, run, left_out, states, block)

    start = varying(start, given)
    outputs = jax.lax.scan(some_or_none, start, blocks)[1]
    return jax.tree.map(lambda leaf: leaf.reshape(count * BLOCK, *leaf.shape[2:])[:length], outputs)
