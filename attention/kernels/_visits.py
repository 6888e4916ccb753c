"""Attention in visits of some queries to some keys, where weights are exponentials of products of queries and keys.

One pass over the visits makes output and normalizer; the backward pass goes over them again and computes their weights anew. It
holds them transposed, ``[*B N s t]``, so that all its products are of rows with columns: others take XLA's CPU backend up to
three times as long. Sums over visits are added to in place.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero, custom_vjp_primal_tree_values

from attention.carries import varying
from attention.dropout import dropped
from attention.kernels import Problem, add_bias, allowed, biased
from attention.kernels._plan import Visits
from attention.records import Streaming

_OF_QUERIES = ("q_positions", "q_valid", "q_segments")
_OF_KEYS = ("k_positions", "k_valid", "k_segments")


def can_visit(problem: Problem) -> bool:
    """Whether weights are exponentials of products, and no part needs more of the scores than a visit's."""
    encoding, score, normalizer, _ = problem.parts
    exponents = normalizer.streaming is not None and normalizer.streaming.exponents is not None
    alone = encoding.reads == "block" and encoding.values is None and not callable(problem.dropout)
    return alone and exponents and score.factors is not None


class _Cut(NamedTuple):
    """The axes, counted from the right, along which a leaf has an entry per query and per key; None where it has not."""

    queries: int | None
    keys: int | None

    def at(self, leaf: jax.Array, visit: "_Visit") -> jax.Array:
        """The part of a leaf that a visit reads."""
        for axis, start, length in zip(self, (visit.query, visit.key), (visit.rows, visit.size)):
            if axis is not None:
                leaf = jax.lax.dynamic_slice_in_dim(leaf, start, length, axis)
        return leaf

    def add(self, total: jax.Array, part: jax.Array, visit: "_Visit") -> jax.Array:
        """The total with a visit's part added to where it belongs."""
        here = (self.at(total, visit) + part).astype(total.dtype)
        starts: list[Any] = [jnp.zeros_like(visit.query)] * total.ndim
        for axis, start in zip(self, (visit.query, visit.key)):
            if axis is not None:
                starts[axis] = start
        return jax.lax.dynamic_update_slice(total, here, starts)


class _Visit(NamedTuple):
    """``rows`` queries from ``query`` on visit ``size`` keys from ``key`` on; those before ``fresh`` were visited already."""

    query: jax.Array
    key: jax.Array
    fresh: jax.Array | None
    number: jax.Array
    rows: int
    size: int


_ROWS, _KEYS, _COLUMNS, _KEY_COLUMNS = _Cut(-2, None), _Cut(None, -2), _Cut(-1, None), _Cut(None, -1)
_held = jax.lax.optimization_barrier  # made once and as it is, not again in each place that reads it or in another layout
_swapped = lambda x: jnp.swapaxes(x, -1, -2)
_heads = lambda x: jnp.swapaxes(x, -2, -3)  # [*B T N H] to [*B N T H], and back


def attend_visits(problem: Problem, plan: Visits) -> jax.Array:
    """Output ``[*B T N E]``."""
    lead, T, S = problem.query.ndim - 3, problem.query.shape[-3], problem.key.shape[-3]
    padding = -T % plan.rows
    assert problem.parts.score.factors is not None
    query, key = problem.parts.score.factors(problem.params["score"], problem.query, problem.key, problem.call)
    rest = problem._replace(query=None, key=None, value=None, ordered=None, parts=None, plan=None)
    found, tree = jax.tree_util.tree_flatten_with_path(rest)
    cuts = [_cut(path, leaf, lead, T, S) for path, leaf in found]
    leaves = [_pad(leaf, cut.queries, padding) for (_, leaf), cut in zip(found, cuts)]
    smooth = [jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves]
    floats = [jnp.asarray(leaf) for leaf, is_smooth in zip(leaves, smooth) if is_smooth]
    others = [leaf for leaf, is_smooth in zip(leaves, smooth) if not is_smooth]

    def rebuild(floats, others):
        floats, others = iter(floats), iter(others)
        rest = tree.unflatten([next(floats if is_smooth else others) for is_smooth in smooth])
        return rest._replace(parts=problem.parts, ordered=problem.ordered)

    arrays = (_pad(_heads(query), -2, padding), _heads(key), _heads(problem.value), floats)
    arrays = varying(arrays, (arrays, others))
    pick = lambda which: [cut for cut, is_smooth in zip(cuts, smooth) if is_smooth == which]
    assert problem.parts.normalizer.streaming is not None
    read = _Read(plan, rebuild, pick(True), pick(False), problem.parts.normalizer.streaming)
    output = _heads(_attention(read)(arrays, (others, _counts(read, arrays, others))))
    return jax.lax.slice_in_dim(output, 0, T, axis=lead)


class _Read(NamedTuple):
    """How a visit reads the problem: ``rebuild`` makes it of its leaves, floats and others, which are cut so."""

    plan: Visits
    rebuild: Callable[[list[Any], list[Any]], Problem]
    floats: list[_Cut]
    others: list[_Cut]
    streaming: Streaming

    def visit(self, step: tuple[Any, ...]) -> _Visit:
        query, key, fresh, number = step
        return _Visit(query, key, fresh, number, self.plan.rows, self.plan.size)

    def problem(self, floats: list[Any], others: list[Any], visit: _Visit) -> Problem:
        """The problem of a visit, of floats that are cut already, with a key of its own for what is random."""
        problem = self.rebuild(floats, [cut.at(leaf, visit) for cut, leaf in zip(self.others, others)])
        query, key = (jax.ShapeDtypeStruct((length, 1, 1), jnp.float32) for length in (visit.rows, visit.size))
        call = problem.call
        if call.rng is not None:
            call = dataclasses.replace(call, rng=jax.random.fold_in(call.rng, visit.number))
        return problem._replace(query=query, key=key, call=call)

    def cut(self, floats: list[Any], visit: _Visit) -> list[Any]:
        return [cut.at(leaf, visit) for cut, leaf in zip(self.floats, floats)]


def _counts(read: _Read, arrays: Any, others: list[Any]) -> jax.Array:
    """The number of keys each query may attend to, ``[*#B #N #T 1]``, at least 1."""
    query, key, _, floats = arrays

    def may(step):
        visit = read.visit(step)
        return _fresh(allowed(read.problem(read.cut(floats, visit), others, visit)), visit, query.ndim)

    steps = _steps(read.plan)
    found = jax.eval_shape(may, jax.tree.map(lambda leaf: leaf[0], steps))
    if found is None:
        return jnp.full((1,) * query.ndim, float(key.shape[-2]))

    def add(total, step):
        visit = read.visit(step)
        mask = may(step)
        assert mask is not None
        mask = jnp.broadcast_to(mask, (*found.shape[:-2], visit.rows, visit.size))
        return _ROWS.add(total, jnp.sum(mask, axis=-1, keepdims=True, dtype=jnp.float32), visit), None

    start = jnp.zeros((*found.shape[:-2], query.shape[-2], 1), jnp.float32)
    total, _ = jax.lax.scan(add, varying(start, (arrays, others)), steps)
    return jnp.maximum(jax.lax.stop_gradient(total), 1.0)


def _attention(read: _Read) -> Callable:
    """The function of (arrays, others) with a backward pass of its own."""
    steps = _steps(read.plan)

    def exponents(floats, others, products, visit, transposed=False):
        """The exponents ``[*B N t s]`` of a visit, -inf where masked, and the problem they are of.

        What is done to ``transposed`` products is computed as they lie: XLA makes no copies then.
        """
        on = _on_transposed if transposed else lambda function: function
        problem, count = read.problem(floats, others[0], visit), others[1]
        if count.shape[-2] > 1:
            count = _ROWS.at(count, visit)
        scores, mask = biased(problem, products, _add_transposed if transposed else add_bias)
        mask = _fresh(mask, visit, scores.ndim)
        opened = scores if mask is None else on(lambda scores, mask: jnp.where(mask, scores, 0.0))(scores, mask)
        assert read.streaming.exponents is not None
        z = read.streaming.exponents(problem.params["normalizer"], opened, count, problem.call)
        return z if mask is None else on(lambda z, mask: jnp.where(mask, z, -jnp.inf))(z, mask), problem

    def start_of(floats, others):
        """What is in the denominator before any key, and its shift."""
        problem = read.rebuild(floats, others[0])
        return read.streaming.start(problem.params["normalizer"], problem.call)

    def forward(arrays, others):
        """The output, and of each row what is subtracted from exponents and what their exponentials are multiplied with."""
        query, key, value, floats = arrays
        wide = jnp.promote_types(jnp.result_type(query, key, value), jnp.float32)
        rows = jnp.zeros((*query.shape[:-1], 1), wide)

        def add(carry, step):
            visit = read.visit(step)
            output, denominator, shift = (_ROWS.at(each, visit) for each in carry)
            products = _product(_ROWS.at(query, visit), _swapped(_KEYS.at(key, visit)), wide)
            z, problem = exponents(read.cut(floats, visit), others, products, visit)
            top = jnp.maximum(shift, jnp.max(z, axis=-1, keepdims=True))
            level = jnp.where(top == -jnp.inf, 0.0, top)  # -inf: nothing allowed so far
            old, shares = jnp.exp(shift - level), _held(jnp.exp(z - level))
            weights = _dropped(shares, problem).astype(value.dtype)
            output = output * old + _product(weights, _KEYS.at(value, visit), wide)
            new = (output, denominator * old + jnp.sum(shares, axis=-1, keepdims=True), top)
            write = lambda total, part: jax.lax.dynamic_update_slice_in_dim(total, part.astype(wide), visit.query, -2)
            return tuple(map(write, carry, new)), None

        start = (
            jnp.zeros((*query.shape[:-1], value.shape[-1]), wide),
            *(rows + jnp.asarray(each, wide) for each in start_of(floats, others)),
        )
        (output, denominator, shift), _ = jax.lax.scan(add, varying(start, (arrays, others)), steps)
        empty = denominator == 0.0
        output = (output / jnp.where(empty, 1.0, denominator)).astype(value.dtype)
        # Apart, since the logarithm of a sum is lost beside a large shift.
        return output, (jnp.where(empty, 0.0, shift), jnp.where(empty, 0.0, 1.0 / denominator))

    def forward_kept(arrays, others):
        """The output, and what the backward pass reads; None marks floats whose gradient nobody asks for."""
        marks = [() if leaf.perturbed else None for leaf in arrays[3]]
        arrays, others = custom_vjp_primal_tree_values((arrays, others))
        output, of_rows = forward(arrays, others)
        return output, (arrays, others, output, of_rows, marks)

    def backward(kept, gradient):
        (query, key, value, floats), others, output, (shift, inverse), marks = kept
        wide = shift.dtype
        gradient = jnp.zeros_like(output) if isinstance(gradient, SymbolicZero) else gradient
        asked = lambda leaves: [leaf for leaf, mark in zip(leaves, marks) if mark is not None]

        def with_asked(own, leaves):
            own = iter(own)
            return [leaf if mark is None else next(own) for leaf, mark in zip(leaves, marks)]

        # On the sum of exponentials. What these are divided by is multiplied with the gradient, once for a row.
        pull = -jnp.sum(gradient.astype(wide) * output.astype(wide), axis=-1, keepdims=True) * inverse
        narrow = wide if gradient.dtype == jnp.float16 else gradient.dtype  # float16 ends at 6e-8
        gradient = (gradient.astype(wide) * inverse).astype(narrow)
        query_columns, gradient_columns, key_columns = map(_swapped, (query, gradient, key))

        def of_start(own):
            many, first = start_of(with_asked(own, floats), others)
            return jnp.zeros_like(shift) + many * jnp.exp(first - shift)

        def add(carry, step):
            visit, (of_query, of_key, of_value, of_floats) = read.visit(step), carry
            here = read.cut(floats, visit)

            def weigh(products, own):
                z, problem = exponents(with_asked(own, here), others, _swapped(products), visit, transposed=True)
                shares = jnp.exp(z - _ROWS.at(shift, visit))
                return _dropped(shares, problem), shares

            products = _held(_product(_KEYS.at(key, visit), _COLUMNS.at(query_columns, visit), wide))
            (weights, shares), pull_back = jax.vjp(weigh, products, asked(here))
            weights = _held(_swapped(weights).astype(value.dtype))
            on_weights = _swapped(_held(_product(_KEYS.at(value, visit), _COLUMNS.at(gradient_columns, visit), wide)))
            on_products, on_floats = pull_back((on_weights, jnp.broadcast_to(_ROWS.at(pull, visit), shares.shape)))
            on_products = _held(on_products.astype(query.dtype))
            on_query = _product(_KEY_COLUMNS.at(key_columns, visit), on_products, wide)
            return (
                _COLUMNS.add(of_query, on_query, visit),
                _KEYS.add(of_key, _product(on_products, _ROWS.at(query, visit), wide), visit),
                _KEYS.add(of_value, _product(weights, _ROWS.at(gradient, visit), wide), visit),
                [cut.add(total, part, visit) for cut, total, part in zip(asked(read.floats), of_floats, on_floats)],
            ), None

        zeros = lambda leaf: jnp.zeros(leaf.shape, jnp.promote_types(leaf.dtype, jnp.float32))
        (of_floats,) = jax.vjp(of_start, asked(floats))[1](pull)
        of_floats = [zeros(each) + each for each in of_floats]
        start = (zeros(query_columns), zeros(key), zeros(value), of_floats)
        (of_query, of_key, of_value, of_floats), _ = jax.lax.scan(add, varying(start, (kept, gradient)), steps)
        cast = lambda total, leaf: total.astype(leaf.dtype)
        of_floats = with_asked(map(cast, of_floats, asked(floats)), [None] * len(floats))
        return (*map(cast, (_swapped(of_query), of_key, of_value), (query, key, value)), of_floats), None

    attend = jax.custom_vjp(lambda arrays, others: forward(arrays, others)[0])
    attend.defvjp(forward_kept, backward, symbolic_zeros=True)
    return attend


def _on_transposed(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A function of maps ``[... t s]``, computed on them transposed."""
    return lambda *maps: _swapped(function(*map(_swapped, maps)))


def _add_transposed(scores: jax.Array, bias: jax.Array) -> jax.Array:
    """``add_bias``, computed on maps transposed.

    The bias is transposed in memory, by a loop: otherwise every entry of a batch reads it across its rows.
    """
    *lead, t, s = bias.shape
    turned = jax.lax.map(_swapped, bias.reshape(-1, t, s)).reshape(*lead, s, t)
    return _swapped(add_bias(_swapped(scores), turned))


def _fresh(mask: jax.Array | None, visit: _Visit, rank: int) -> jax.Array | None:
    """The mask without keys of an earlier visit."""
    if visit.fresh is None:
        return mask
    fresh = (visit.key + jnp.arange(visit.size) >= visit.fresh)[(None,) * (rank - 1)]
    return fresh if mask is None else mask & fresh


def _dropped(weights: jax.Array, problem: Problem) -> jax.Array:
    return weights if problem.dropout is None else dropped(weights, problem.dropout, problem.call.rng, 0)


def _product(left: jax.Array, right: jax.Array, wide: Any) -> jax.Array:
    return jnp.matmul(left, right, preferred_element_type=wide)


def _steps(plan: Visits) -> tuple[np.ndarray | None, ...]:
    """What a loop over the visits reads: first query, first key, first key that is new, number.

    NumPy arrays, since forward and backward pass may be traced apart.
    """
    new = None if (plan.fresh == plan.keys).all() else plan.fresh.astype(np.int32)
    return plan.queries.astype(np.int32), plan.keys.astype(np.int32), new, np.arange(len(plan.queries), dtype=np.int32)


def _cut(path: Any, leaf: Any, lead: int, T: int, S: int) -> _Cut:
    """Along which axes a leaf of the problem is cut."""
    field, inner = path[0].name, getattr(path[1], "name", None) if len(path) > 1 else None
    at_length = lead - jnp.ndim(leaf)
    axes = {"where": (-2, -1), "bias": (-2, -1), "q_features": (at_length, None), "k_features": (None, at_length)}
    queries, keys = axes.get(field, (None, None))
    if field in ("call", "encoding_call"):
        queries, keys = -1 if inner in _OF_QUERIES else None, -1 if inner in _OF_KEYS else None
    along = lambda axis, length: axis if axis is not None and jnp.shape(leaf)[axis] == length else None
    return _Cut(along(queries, T), along(keys, S))


def _pad(leaf: Any, axis: int | None, padding: int) -> Any:
    """Zeros at the end of an axis."""
    if axis is None or not padding:
        return leaf
    widths = [(0, 0)] * leaf.ndim
    widths[axis] = (0, padding)
    return jnp.pad(leaf, widths)
