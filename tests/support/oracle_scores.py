"""What witnesses of the scores share: torch on every pair of a query and a key, or on all of them at once."""

import numpy as np

import attention
from tests.support.oracle_packages import F, torch, x_attend  # noqa: F401 (for the evidence)
from tests.support.witness import Witness

B, T, S, N, H, A, L = 2, 3, 5, 2, 4, 6, 7
Q_POSITIONS, K_POSITIONS = np.array([[4, 0, 2], [1, 6, 3]]), np.array([[1, 4, 0, 6, 3], [2, 2, 1, 5, 0]])


def normal(seed, *shape):
    return np.random.default_rng([21, seed]).normal(size=shape)


def queries_and_keys(width=H):
    return normal(0, B, T, N, width), normal(1, B, S, N, width)


def of_pairs(function):
    """A function of queries ``[... width]``, keys and the head's own parameters, applied to all pairs of each head."""

    def theirs(query, key, *own):
        query, key = (x.transpose(1, 2) for x in (query, key))
        q, k = query[:, :, :, None].expand(-1, -1, -1, S, -1), key[:, :, None].expand(-1, -1, T, -1, -1)
        heads = [function(q[:, n], k[:, n], *(x[n] for x in own)) for n in range(N)]
        return torch.stack([x.squeeze(-1) if x.ndim == 4 else x for x in heads], dim=1)

    return theirs


def pairs(ours, theirs, *own, width=H):
    return Witness(ours, of_pairs(theirs), (*queries_and_keys(width), *own))


def products(scale):
    return lambda query, key: scale * torch.matmul(query.transpose(1, 2), key.permute(0, 2, 3, 1))


def sdpa(score, scale):
    """Through attention: the scores themselves are not to be had."""
    theirs = lambda q, k, v: F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), scale=scale).transpose(
        1, 2
    )
    ours = lambda q, k, v: attention.attend(q, k, v, score=score)
    return Witness(ours, theirs, (*queries_and_keys(), normal(2, B, S, N, H)))


def at(scores, positions):
    """Scores ``[B T N L]`` at the keys' positions, ``[B N T S]``."""
    return scores.transpose(1, 2).gather(-1, positions[:, None, None, :].expand(-1, N, T, -1))
