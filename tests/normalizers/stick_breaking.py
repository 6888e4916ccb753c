"""Evidence of stick breaking."""

import math

import numpy as np

import attention
from tests.support.evidence import NormalizerCase, NormalizerEvidence
from tests.support.normalizers import OFFSET
from tests.support.row import Row


def stick_breaking(remainder):
    """Query t has position t + OFFSET; its own key gets what is left where that is asked for."""

    def maps(scores, mask, own):
        weights = np.zeros(scores.shape)
        for n, t, j in np.ndindex(scores.shape):
            if j < t + OFFSET and mask[n, t, j]:
                share = lambda k, n=n, t=t: 1 / (1 + math.exp(-scores[n, t, k])) if mask[n, t, k] else 0.0
                weights[n, t, j] = share(j) * math.prod(1 - share(k) for k in range(j + 1, t + OFFSET))
        if remainder:
            for n, t in np.ndindex(scores.shape[:2]):
                if mask[n, t, t + OFFSET]:
                    weights[n, t, t + OFFSET] = 1 - weights[n, t].sum()
        return weights

    return maps


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    def stick(z):
        share = o.torch.sigmoid(z)
        left = o.torch.cumprod(o.torch.cat([o.torch.ones_like(z[:1]), 1 - share.flip(0)[:-1]]), 0).flip(0)
        return share * left

    def loop(query, key, value, where):
        """β of the nearest key before the query, then of the next one, and the query's own key for what is left."""
        share = o.torch.sigmoid(query @ key.transpose(-1, -2) / math.sqrt(layers.H))
        rows = []
        for i in range(layers.T):
            weights = [o.torch.zeros_like(share[..., 0, 0])] * layers.T
            left = o.torch.ones_like(share[..., 0, 0])
            for j in reversed(range(i)):
                weights[j] = share[..., i, j] * left
                left = left * (1 - share[..., i, j])
            weights[i] = left
            rows.append(o.torch.stack(weights, -1))
        return o.torch.stack(rows, -2) @ value

    everything = np.ones((layers.B, layers.T), bool)
    ours = layers.ours_of("stick_breaking(remainder=self)", mask="causal")
    inputs = *layers.inputs(heads=layers.N, length=layers.T)[:3], everything
    return {
        "torch.cumprod": o.row(attention.stick_breaking, stick),
        "torch loop, remainder to itself": o.Witness(ours, layers.heads_first(loop), inputs),
    }


GOLDEN = ([0.00341183, 0.03448454, 0.06454993, 0.03814963, 0.85814894], {})


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("stick_breaking", "stick_breaking, causal")


ROW = Row(
    "stick_breaking",
    {"remainder": "self"},
    NormalizerEvidence(
        (
            NormalizerCase("stick_breaking", stick_breaking(False), monotone=False, order=True, golden=GOLDEN),
            NormalizerCase("stick_breaking(remainder=self)", stick_breaking(True), monotone=False, order=True),
        ),
        oracles,
        picture=picture,
    ),
)
