"""Scores: torch on every pair of a query and a key, or on all of them at once."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.oracle_packages import F, torch, x_attend
from tests.support.witness import Witness

B, T, S, N, H, A, L = 2, 3, 5, 2, 4, 6, 7
Q_POSITIONS, K_POSITIONS = np.array([[4, 0, 2], [1, 6, 3]]), np.array([[1, 4, 0, 6, 3], [2, 2, 1, 5, 0]])


def _normal(seed, *shape):
    return np.random.default_rng([21, seed]).normal(size=shape)


def _queries_and_keys(width=H):
    return _normal(0, B, T, N, width), _normal(1, B, S, N, width)


def of_pairs(function):
    """A function of queries ``[... width]``, keys and the head's own parameters, applied to all pairs of each head."""

    def theirs(query, key, *own):
        query, key = (x.transpose(1, 2) for x in (query, key))
        q, k = query[:, :, :, None].expand(-1, -1, -1, S, -1), key[:, :, None].expand(-1, -1, T, -1, -1)
        heads = [function(q[:, n], k[:, n], *(x[n] for x in own)) for n in range(N)]
        return torch.stack([x.squeeze(-1) if x.ndim == 4 else x for x in heads], dim=1)

    return theirs


def pairs(ours, theirs, *own, width=H):
    return Witness(ours, of_pairs(theirs), (*_queries_and_keys(width), *own))


def _matmul(scale):
    return lambda query, key: scale * torch.matmul(query.transpose(1, 2), key.permute(0, 2, 3, 1))


def _sdpa(score, scale):
    """Through attention: the scores themselves are not to be had."""
    theirs = lambda q, k, v: F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), scale=scale).transpose(
        1, 2
    )
    ours = lambda q, k, v: attention.attend(q, k, v, score=score)
    return Witness(ours, theirs, (*_queries_and_keys(), _normal(2, B, S, N, H)))


def _x_transformers():
    """Squared distances, which it scales as it does products."""
    module = x_attend.Attend(heads=N, l2_distance=True, qk_norm=True).double().eval()
    theirs = lambda q, k, v: module(*(x.transpose(1, 2) for x in (q, k, v)))[0].transpose(1, 2)
    ours = lambda q, k, v: attention.attend(q, k, v, score="l2")
    return Witness(ours, theirs, (*_queries_and_keys(), _normal(2, B, S, N, H)))


def _distances(query, key):
    return -(
        torch.cdist(query.transpose(1, 2), key.transpose(1, 2), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    ) / math.sqrt(H)


def _additive(q, k, w, u, v, b):
    return F.linear(torch.tanh(F.linear(q, w.T, b) + F.linear(k, u.T)), v[None])


def _weight_normed(q, k, v, g):
    """torch's own weight normalisation of the last layer."""
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(A, 1, bias=False).double())
    given = {"parametrizations.weight.original0": g[None, None], "parametrizations.weight.original1": v[None]}
    return torch.func.functional_call(layer, given, (torch.tanh(q + k),))


def _our_additive(q, k, w, u, v, b):
    query, key = jnp.einsum("btnh,nha->btna", q, w) + b, jnp.einsum("btnh,nha->btna", k, u)
    return attention.additive_scores(query, key, v)


def _activated(activation, function):
    return pairs(
        lambda q, k, w, u, b: attention.activated_scores(q, k, w, u, b, activation=activation),
        lambda q, k, w, u, b: function(F.bilinear(q, k, w[None], b[None]) + F.linear(torch.cat([q, k], -1), u[None])),
        _normal(3, N, H, H),
        _normal(4, N, 2 * H),
        _normal(5, N),
    )


def _at(scores, positions):
    """Scores ``[B T N L]`` at the keys' positions, ``[B N T S]``."""
    return scores.transpose(1, 2).gather(-1, positions[:, None, None, :].expand(-1, N, T, -1))


def _location(query, table, positions):
    return _at(torch.stack([F.linear(query[:, :, n], table[n]) for n in range(N)], 2), positions)


def _dense(hidden, table, bias, positions):
    return _at(torch.stack([F.linear(F.relu(hidden[:, :, n]), table[n], bias[n]) for n in range(N)], 2), positions)


PAIRS = {
    "dot": {
        "torch.matmul": Witness(attention.dot_scores, _matmul(1.0), _queries_and_keys()),
        "torch SDPA(scale=1)": _sdpa("dot", 1.0),
    },
    "scaled_dot": {
        "torch.matmul": Witness(attention.scaled_dot_scores, _matmul(H**-0.5), _queries_and_keys()),
        "torch SDPA": _sdpa("scaled_dot", None),
    },
    "general": {
        "torch F.bilinear": pairs(
            attention.general_scores, lambda q, k, w, b: F.bilinear(q, k, w[None], b[None]), _normal(3, N, H, H), _normal(5, N)
        )
    },
    "low_rank": {
        "torch F.linear, product": pairs(
            attention.low_rank_scores,
            lambda q, k, u, v: (F.linear(q, u.T) * F.linear(k, v.T)).sum(-1),
            _normal(3, N, H, A),
            _normal(4, N, H, A),
        )
    },
    "additive": {
        "torch F.linear, tanh": pairs(
            _our_additive, _additive, _normal(3, N, H, A), _normal(4, N, H, A), _normal(5, N, A), _normal(6, N, A)
        )
    },
    "additive_norm": {
        "torch weight_norm": pairs(attention.additive_norm_scores, _weight_normed, _normal(3, N, A), _normal(4, N), width=A)
    },
    "concat": {
        "torch F.linear of [q; k]": pairs(
            attention.concat_scores,
            lambda q, k, w, v: F.linear(torch.tanh(F.linear(torch.cat([q, k], -1), w.T)), v[None]),
            _normal(3, N, 2 * H, A),
            _normal(4, N, A),
        )
    },
    "cosine": {
        "torch F.cosine_similarity": pairs(
            attention.cosine_scores, lambda q, k, g: g * F.cosine_similarity(q, k, dim=-1), _normal(3, N)
        )
    },
    "linear": {
        "torch F.linear of [q; k]": pairs(
            attention.linear_scores,
            lambda q, k, w, b: F.linear(torch.cat([q, k], -1), w[None], b[None]),
            _normal(3, N, 2 * H),
            _normal(5, N),
        )
    },
    "trilinear": {
        "torch F.linear of [q; k; qk]": pairs(
            attention.trilinear_scores, lambda q, k, w: F.linear(torch.cat([q, k, q * k], -1), w[None]), _normal(3, N, 3 * H)
        )
    },
    "activated": {
        f"torch F.bilinear, F.linear, {name}": _activated(name, function)
        for name, function in (("sigmoid", torch.sigmoid), ("tanh", torch.tanh), ("relu", F.relu))
    },
    "l2": {
        "torch.cdist": Witness(attention.l2_scores, _distances, _queries_and_keys()),
        "x-transformers l2_distance": _x_transformers(),
    },
    "location": {
        "torch F.linear, gather": Witness(
            attention.location_scores, _location, (_normal(0, B, T, N, H), _normal(3, N, L, H), K_POSITIONS)
        )
    },
    "synthesizer": {
        "torch F.linear of relu, gather (dense)": Witness(
            attention.dense_synthesizer_scores,
            _dense,
            (_normal(0, B, T, N, A), _normal(3, N, L, A), _normal(5, N, L), K_POSITIONS),
        ),
        "torch indexing (random)": Witness(
            attention.random_synthesizer_scores,
            lambda table, i, j: table[:, i[:, :, None], j[:, None, :]].transpose(0, 1),
            (_normal(3, N, L, L), Q_POSITIONS, K_POSITIONS),
        ),
    },
}
