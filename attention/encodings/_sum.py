"""The ``+`` of encodings: every term does its part."""

import dataclasses
import operator
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import jax

from attention.records import Call, Dims, Encoding, EncodingClaims, Params, Reads, most


def combine(*encodings: Encoding) -> Encoding:
    """Applies the encodings one after the other; biases and values add up, and pairs must be allowed by all.

    Each term has its own parameters, under its number, and, once ``positions`` has run, its own positions.

    Raises:
      ValueError: where two terms act before different blocks, which one hook cannot express.
    """
    depths = {encoding.depth for encoding in encodings if encoding.embed is not None} or {0}
    if len(depths) > 1:
        raise ValueError(f"encodings that act before different blocks do not compose, got depths {sorted(depths)}")

    def having(name: str) -> list[tuple[int, Callable[..., Any]]]:
        """The terms with a hook: their numbers, and it."""
        return [(i, hook) for i, encoding in enumerate(encodings) if (hook := getattr(encoding, name)) is not None]

    def made(name: str) -> Callable[[jax.Array, Dims], Params] | None:
        def make(rng: jax.Array, dims: Dims) -> Params:
            keys = jax.random.split(rng, len(encodings))
            found = {str(i): hook(keys[i], dims) for i, hook in having(name)}
            return {number: params for number, params in found.items() if params}

        return make if having(name) else None

    def positions(params, call):
        calls = [_term(call, i) for i in range(len(encodings))]
        for i, hook in having("positions"):
            calls[i] = hook(_own(params, i), calls[i])
        if all(each.q_positions is call.q_positions and each.k_positions is call.k_positions for each in calls):
            return call  # so that positions 0, 1, ... are still known to be that
        sides = ([getattr(each, side) for each in calls] for side in ("q_positions", "k_positions"))
        queries, keys = map(tuple, sides)
        return dataclasses.replace(call, q_positions=queries, k_positions=keys)

    def embed(params, x, tokens, call):
        for i, hook in having("embed"):
            x = hook(_own(params, i), x, tokens, _term(call, i))
        return x

    def modify(params, scores, *given):
        for i, hook in having("modify"):
            scores = hook(_own(params, i), scores, *_prepared(given[:-1], i), _term(given[-1], i))
        return scores

    def values(params, weights, call):
        found = (hook(_own(params, i), weights, _term(call, i)) for i, hook in having("values"))
        return _joined(operator.add, found)

    def rotate(params, query, key, call):
        for i, hook in having("rotate"):
            query, key = hook(_own(params, i), query, key, _term(call, i))
        return query, key

    def prepare(params, x, query, key, call):
        prepared: list[tuple[Any, Any, Any]] = [((), (), ())] * len(encodings)
        for i, hook in having("prepare"):
            prepared[i] = hook(_own(params, i), x, query, key, _term(call, i))
        q_features, k_features, rest = zip(*prepared)
        return q_features, k_features, rest

    def joined(name: str, join: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        def run(params, *given):
            found = (hook(_own(params, i), *_prepared(given[:-1], i), _term(given[-1], i)) for i, hook in having(name))
            return _joined(join, found)

        return run

    hooks = {
        "shared": made("shared"),
        "init": made("init"),
        "positions": positions,
        "embed": embed,
        "prepare": prepare,
        "rotate": rotate,
        "bias": joined("bias", operator.add),
        "modify": modify,
        "where": joined("where", operator.and_),
        "values": values,
    }
    reads: list[Reads] = [e.reads for e in encodings]
    lengths = [e.max_length for e in encodings if e.max_length is not None]
    return Encoding(
        **{name: hook for name, hook in hooks.items() if having(name)},
        reads=most(*reads),
        terms=1 + sum(e.terms - 1 for e in encodings),
        needs_causal=any(e.needs_causal for e in encodings),
        whole=any(e.whole for e in encodings),
        redraws=any(e.redraws for e in encodings),
        ahead=next((e.ahead for e in encodings if e.ahead), ""),
        whole_row=next((e.whole_row for e in encodings if e.whole_row), ""),
        max_length=_shortest(lengths),
        claims=EncodingClaims(extrapolates=all(e.claims.extrapolates for e in encodings)),
        depth=depths.pop(),
    )


def _joined(join: Callable[[Any, Any], Any], found: Iterable[Any]) -> Any:
    present = [each for each in found if each is not None]
    return reduce(join, present) if present else None


def _own(params: Params, i: int) -> Params:
    return params.get(str(i), {})


def _prepared(features: Any, i: int) -> list[Any]:
    """What term i prepared, of features without terms where none prepared anything."""
    return [each[i] if each else () for each in features]


def _term(call: Call, i: int) -> Call:
    pick = lambda each: each[i] if isinstance(each, tuple) else each
    sides = {name: pick(getattr(call, name)) for name in ("q_positions", "k_positions", "consecutive")}
    return dataclasses.replace(call, **sides)


def _shortest(lengths: list[Any]) -> Any:
    """The smallest table; where some have as many positions as the model, both limits."""
    flat = {length for each in lengths for length in (each if isinstance(each, tuple) else (each,))}
    limits = (*sorted(flat - {"dims"})[:1], *(flat & {"dims"}))
    return limits if len(limits) > 1 else next(iter(limits), None)
