"""The ``+`` of encodings: every term does its part."""

import dataclasses
from functools import reduce
from typing import Any

import jax

from attention.records import Call, Encoding, Reads, most


def combine(*encodings: Encoding) -> Encoding:
    """Applies the encodings one after the other; biases and values add up.

    Each term has its own parameters and, once ``positions`` has run, its own positions.

    Raises:
      ValueError: where two terms act before different blocks, which one hook cannot express.
    """
    depths = {encoding.depth for encoding in encodings if encoding.embed is not Encoding().embed} or {0}
    if len(depths) > 1:
        raise ValueError(f"encodings that act before different blocks do not compose, got depths {sorted(depths)}")

    def term(call: Call, i: int) -> Call:
        pick = lambda each: each[i] if isinstance(each, tuple) else each
        return dataclasses.replace(
            call,
            q_positions=pick(call.q_positions),
            k_positions=pick(call.k_positions),
            consecutive=pick(call.consecutive),
        )

    def terms(params):
        shared, own = params
        for i, encoding in enumerate(encodings):
            yield i, encoding, (shared.get(str(i), {}), own.get(str(i), {}))

    def init(rng, dims):
        keys = jax.random.split(rng, len(encodings))
        return {str(i): encoding.init(key, dims) for i, (encoding, key) in enumerate(zip(encodings, keys))}

    def positions(params, call):
        calls = [encoding.positions(own, term(call, i)) for i, encoding, own in terms(params)]
        if all(each.q_positions is call.q_positions and each.k_positions is call.k_positions for each in calls):
            return call  # so that positions 0, 1, ... are still known to be that
        return dataclasses.replace(
            call,
            q_positions=tuple(each.q_positions for each in calls),
            k_positions=tuple(each.k_positions for each in calls),
        )

    def embed(params, x, tokens, call):
        for i, encoding, own in terms(params):
            x = encoding.embed(own, x, tokens, term(call, i))
        return x

    def prepare(params, x, query, key, call):
        prepared = [encoding.prepare(own, x, query, key, term(call, i)) for i, encoding, own in terms(params)]
        q_features, k_features, rest = zip(*prepared)
        return q_features, k_features, rest

    def rotate(params, query, key, call):
        for i, encoding, own in terms(params):
            query, key = encoding.rotate(own, query, key, term(call, i))
        return query, key

    def bias(params, q_features, k_features, rest, call):
        found = [e.bias(own, q_features[i], k_features[i], rest[i], term(call, i)) for i, e, own in terms(params)]
        found = [each for each in found if each is not None]
        return reduce(lambda a, b: a + b, found) if found else None

    def modify(params, scores, q_features, k_features, rest, call):
        for i, e, own in terms(params):
            scores = e.modify(own, scores, q_features[i], k_features[i], rest[i], term(call, i))
        return scores

    def where(params, q_features, k_features, rest, call):
        found = [e.where(own, q_features[i], k_features[i], rest[i], term(call, i)) for i, e, own in terms(params)]
        found = [each for each in found if each is not None]
        return reduce(lambda a, b: a & b, found) if found else None

    def values(params, weights, call):
        found = [encoding.values(own, weights, term(call, i)) for i, encoding, own in terms(params)]
        found = [each for each in found if each is not None]
        return reduce(lambda a, b: a + b, found) if found else None

    reads: list[Reads] = [e.reads for e in encodings]
    lengths = [e.max_length for e in encodings if e.max_length is not None]
    return Encoding(
        init=init,
        positions=positions,
        embed=embed,
        prepare=prepare,
        rotate=rotate,
        bias=bias,
        modify=modify,
        where=where,
        values=values,
        reads=most(*reads),
        rotates=any(e.rotates for e in encodings),
        terms=1 + sum(e.terms - 1 for e in encodings),
        needs_causal=any(e.needs_causal for e in encodings),
        redraws=any(e.redraws for e in encodings),
        max_length=_shortest(lengths),
        extrapolates=all(e.extrapolates for e in encodings),
        depth=depths.pop(),
    )


def _shortest(lengths: list[Any]) -> Any:
    """The smallest table; where some have as many positions as the model, both limits."""
    flat = {length for each in lengths for length in (each if isinstance(each, tuple) else (each,))}
    limits = (*sorted(flat - {"dims"})[:1], *(flat & {"dims"}))
    return limits if len(limits) > 1 else next(iter(limits), None)
