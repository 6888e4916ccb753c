"""Normalizers as functions of a row, or of a matrix, of scores. The oracles see nothing but the allowed keys."""

import math

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.oracle_packages import ACT2FN, F, LaplaceActivation, ScalableSoftmax, entmax, jaxopt, ot, torch, x_attend
from tests.support.witness import Witness

R, S = 24, 9
ALPHAS = (1.1, 1.25, 1.5, 1.75, 2.0, 2.5)


def _scores(shift=0.0):
    """Rows, and their masks: among them an empty, a full and a constant one, and a single key."""
    rng = np.random.default_rng(3)
    scores, where = rng.normal(shift, 2.0, (R, S)), rng.random((R, S)) > 0.3
    where[0], where[1], where[2] = False, True, np.arange(S) == 4
    scores[3] = 1.25
    return scores, where


def _positive(seed):
    """A positive number per row."""
    return np.random.default_rng(seed).uniform(0.3, 3.0, (R, 1))


def by_row(function):
    """The function of allowed keys, and of each row's own numbers, applied to every row; nothing of an empty one."""

    def apply(scores, where, *own):
        rows = []
        for i, (row, open_) in enumerate(zip(scores, where)):
            z = row[open_]
            rows.append(torch.zeros_like(row).masked_scatter(open_, function(z, *(x[i] for x in own))) if len(z) else 0 * row)
        return torch.stack(rows)

    return apply


def row(ours, theirs, *own, shift=0.0, **fields):
    """A witness of ``ours(scores, where, *own)`` that is ``theirs(allowed scores, *own)`` of each row."""
    return Witness(ours, by_row(theirs), (*_scores(shift), *own), **fields)


def unmasked(ours, theirs, **fields):
    """A witness in JAX, ``theirs(row)``, which knows no masks."""
    return Witness(ours, jax.vmap(theirs), (_scores()[0],), framework="jax", **fields)


def _matrices():
    """Squares of scores; of the first, two queries and two other keys are padding."""
    rng = np.random.default_rng(4)
    queries, keys = np.ones((2, 8), bool), np.ones((2, 8), bool)
    queries[0, [2, 7]], keys[0, [0, 5]] = False, False
    return rng.normal(size=(2, 8, 8)), queries, keys


def matrix(ours, theirs, **fields):
    """A witness of ``ours(scores, where)`` that is ``theirs(allowed scores)`` of each matrix."""

    def apply(scores, queries, keys):
        found = []
        for s, q, k in zip(scores, queries, keys):
            inside = q[:, None] & k[None, :]
            found.append(torch.zeros_like(s).masked_scatter(inside, theirs(s[inside].reshape(q.sum(), k.sum()))))
        return torch.stack(found)

    return Witness(lambda s, q, k: ours(s, q[:, :, None] & k[:, None, :]), apply, _matrices(), **fields)


def _ssmax(z, kappa, bias):
    module = ScalableSoftmax(bias=True)
    return torch.func.functional_call(module, {"s": kappa, "b": bias}, (z,))


def _gumbel(hard):
    """Their noise, drawn again from the same seed."""
    noise = lambda s: -torch.empty_like(s).exponential_().log()

    def theirs(scores, where):
        torch.manual_seed(5)
        found = F.gumbel_softmax(scores.masked_fill(~where, -torch.inf), tau=0.7, hard=hard)
        return torch.where(where.any(-1, keepdim=True), found, 0.0)

    scores, where = _scores()
    torch.manual_seed(5)
    drawn = noise(torch.tensor(scores)).numpy()
    ours = lambda s, w: attention.gumbel(s, w, noise=jnp.asarray(drawn), temperature=0.7, hard=hard)
    return Witness(ours, theirs, (scores, where))


def _box(k):
    """The nearest point with 0 <= p <= 1 and sum k; their root is good to 1e-5."""
    ones = lambda z: jnp.ones_like(z)
    theirs = lambda z: jaxopt.projection.projection_box_section(z, (0 * z, ones(z), ones(z), float(k)))
    return unmasked(lambda s: attention.budget(s, k=k), theirs, tolerance=3e-5)


def _transport(s):
    """Uniform marginals, at convergence; times n so that rows sum to 1."""
    n = len(s)
    uniform = torch.full((n,), 1 / n, dtype=s.dtype)
    return n * ot.sinkhorn(uniform, uniform, -s, 1.0, method="sinkhorn_log", numItermax=50, stopThr=0.0, warn=False)


def _alternate(s, iterations):
    p = s.exp()
    for i in range(iterations):
        p = p / p.sum(-1 if i % 2 == 0 else -2, keepdim=True)
    return p


def _stick(z):
    share = torch.sigmoid(z)
    left = torch.cumprod(torch.cat([torch.ones_like(z[:1]), 1 - share.flip(0)[:-1]]), 0).flip(0)
    return share * left


def _adaptive(z):
    p = torch.softmax(z, -1)
    entropy = torch.special.entr(p).sum()
    powers = torch.stack([entropy**4, entropy**3, entropy**2, entropy, torch.ones_like(entropy)])
    beta = powers @ torch.tensor([-0.037, 0.481, -2.3, 4.917, -1.791], dtype=z.dtype)
    return torch.softmax(z * (beta.clamp(min=1.0) if entropy > 0.5 else 1.0), -1)


def _softpick(z):
    u = z.exp() - 1
    return F.relu(u) / u.abs().sum()


def _taylor(z, order):
    u = sum(z**m / math.factorial(m) for m in range(order + 1))
    return u / u.sum()


def _selective():
    """Causal scores; what is above the diagonal is not theirs to hide."""
    ours = lambda s: attention.selective(s, jnp.where((jnp.arange(6) == 0) | jnp.eye(6, dtype=bool), 0.0, s[:, :1]))
    return Witness(ours, x_attend.selective_attn, (np.random.default_rng(6).normal(size=(2, 3, 6, 6)),))


POINTWISE = {
    "relu": F.relu,
    "relu2": ACT2FN["relu2"],
    "gelu": F.gelu,
    "softplus": F.softplus,
    "sigmoid": F.sigmoid,
    "identity": lambda z: z,
    "relu6": F.relu6,
}
POSITIVE = {"softplus": F.softplus, "relu": F.relu, "elu1": lambda z: F.elu(z) + 1}

ROWS = {
    "softmax": {
        "torch.softmax, by s and τ": row(
            lambda s, w, t: attention.softmax(s, w, temperature=t), lambda z, t: torch.softmax(z / t, -1), _positive(0)
        ),
    },
    "log_softmax": {"torch.log_softmax": row(attention.log_softmax, lambda z: torch.log_softmax(z, -1))},
    "sum_norm": {
        "torch: s / Σ s": row(attention.sum_norm, lambda z: z / z.sum(), shift=4.0),
        "torch F.normalize(p=1)": row(
            lambda s, w: attention.sum_norm(s, w, form="absolute"), lambda z: F.normalize(z, p=1, dim=-1)
        ),
    },
    "sparsemax": {
        "entmax.sparsemax, by s and τ": row(
            lambda s, w, t: attention.sparsemax(s, w, temperature=t), lambda z, t: entmax.sparsemax(z / t, dim=-1), _positive(1)
        ),
        "entmax.sparsemax_bisect": row(attention.sparsemax, lambda z: entmax.sparsemax_bisect(z, dim=-1)),
        "jaxopt projection_simplex": unmasked(attention.sparsemax, jaxopt.projection.projection_simplex),
    },
    "entmax15": {
        "entmax.entmax15, by s and τ": row(
            lambda s, w, t: attention.entmax15(s, w, temperature=t), lambda z, t: entmax.entmax15(z / t, dim=-1), _positive(2)
        ),
    },
    "entmax": {
        "entmax_bisect, by s and α": row(
            lambda s, w, a: attention.entmax(s, w, alpha=a),
            lambda z, a: entmax.entmax_bisect(z, a, dim=-1, n_iter=60),
            np.resize(ALPHAS, (R, 1)),
        ),
        **{
            f"entmax_bisect, α = {alpha}": row(
                lambda s, w, alpha=alpha: attention.entmax(s, w, alpha=alpha),
                lambda z, alpha=alpha: entmax.entmax_bisect(z, alpha, dim=-1, n_iter=60),
            )
            for alpha in ALPHAS
        },
    },
    "normmax": {
        f"entmax.normmax_bisect, α = {alpha}": row(
            lambda s, w, alpha=alpha: attention.normmax(s, w, alpha=alpha),
            lambda z, alpha=alpha: entmax.normmax_bisect(z, alpha, dim=-1, n_iter=60),
        )
        for alpha in (1.5, 2.0, 3.0)
    },
    "budget": {
        **{
            f"entmax.budget_bisect, k = {k}": row(
                lambda s, w, k=k: attention.budget(s, w, k=k),
                # With fewer than k keys there is no such point for them; ours then is all ones.
                lambda z, k=k: entmax.budget_bisect(z, k, dim=-1, n_iter=60) if len(z) > k else 0 * z + 1,
            )
            for k in (1.0, 2.0, 3.5)
        },
        "jaxopt projection_box_section": _box(2.0),
    },
    "sigmoid": {
        "torch.sigmoid, by s and τ": row(
            lambda s, w, t: attention.sigmoid(s, w, temperature=t),
            lambda z, t: torch.sigmoid(z / t - math.log(len(z))),
            _positive(3),
        ),
    },
    "softmax1": {
        "torch.softmax with a column of 0": row(
            attention.softmax1, lambda z: torch.softmax(torch.cat([z, torch.zeros_like(z[:1])]), -1)[:-1]
        ),
    },
    "sink": {
        "torch.softmax with a column of b": row(
            lambda s, w, b: attention.sink(s, w, logit=b), lambda z, b: torch.softmax(torch.cat([z, b]), -1)[:-1], _positive(4)
        ),
    },
    "ssmax": {
        "scalable_softmax, by s, κ and b": row(
            lambda s, w, k, b: attention.ssmax(s, w, kappa=k, bias=b), _ssmax, _positive(5), _positive(6)
        ),
    },
    "log_length": {
        "scalable_softmax(1 / log n_train)": row(
            lambda s, w: attention.log_length(s, w, train_length=5),
            lambda z: _ssmax(z, torch.tensor(1 / math.log(5), dtype=z.dtype), torch.zeros(1, dtype=z.dtype)),
        ),
    },
    "gumbel": {f"torch F.gumbel_softmax(hard={hard})": _gumbel(hard) for hard in (False, True)},
    "hard": {
        "x-transformers one_hot_straight_through": row(
            lambda s, w: attention.hard(s, w, temperature=0.6), lambda z: x_attend.one_hot_straight_through(z, temperature=0.6)
        ),
    },
    "topk": {
        "x-transformers sparse_topk_attn": row(
            lambda s, w: attention.topk(s, w, k=3), lambda z: x_attend.sparse_topk_attn(z, min(3, len(z)))
        ),
    },
    "sinkhorn": {  # not sinkformers, whose code leaves the columns' steps out of the gradient
        "torch.softmax, 1 iteration": matrix(
            lambda s, w: attention.sinkhorn(s, w, iterations=1), lambda s: torch.softmax(s, -1)
        ),
        "torch: rows and columns in turn": matrix(
            lambda s, w: attention.sinkhorn(s, w, iterations=5), lambda s: _alternate(s, 5)
        ),
        "POT ot.sinkhorn, converged": matrix(lambda s, w: attention.sinkhorn(s, w, iterations=41), _transport, tolerance=1e-9),
    },
    "double_norm": {
        "torch.softmax, F.normalize(p=1)": matrix(
            attention.double_norm, lambda s: F.normalize(torch.softmax(s, -2), p=1, dim=-1)
        ),
    },
    "slot": {
        "torch.softmax + ε, F.normalize(p=1)": matrix(
            lambda s, w: attention.slot(s, w, epsilon=1e-3), lambda s: F.normalize(torch.softmax(s, -2) + 1e-3, p=1, dim=-1)
        ),
    },
    "taylor": {
        f"torch: polynomial of order {order}": row(
            lambda s, w, order=order: attention.taylor(s, w, order=order), lambda z, order=order: _taylor(z, order)
        )
        for order in (2, 4)
    },
    "stick_breaking": {"torch.cumprod": row(attention.stick_breaking, _stick)},
    "differential": {
        "torch.softmax twice, by s¹, s² and λ": row(
            lambda s, w, t, m: attention.differential(s, s * t, w, mix=m),
            lambda z, t, m: torch.softmax(z, -1) - m * torch.softmax(z * t, -1),
            _positive(7),
            _positive(8),
        ),
    },
    "softpick": {"torch: [e^s - 1]+ / Σ |e^s - 1|": row(attention.softpick, _softpick)},
    "cog": {"torch: sign · softmax(abs)": row(attention.cog, lambda z: z.sign() * torch.softmax(z.abs(), -1))},
    "clipped": {
        "torch.clamp, γ and ζ": row(
            lambda s, w: attention.clipped(s, w, gamma=-0.1, zeta=1.05),
            lambda z: torch.clamp(1.15 * torch.softmax(z, -1) - 0.1, 0, 1),
        ),
        "torch.clamp, α": row(
            lambda s, w: attention.clipped(s, w, gamma=None, alpha=0.5),
            lambda z: torch.clamp((1 + 0.5 / len(z)) * torch.softmax(z, -1) - 0.5 / len(z), 0, 1),
        ),
    },
    "spherical": {"torch F.normalize squared": row(attention.spherical, lambda z: F.normalize(z, dim=-1) ** 2)},
    "l1_positive": {
        f"torch {name}, F.normalize(p=1)": row(
            lambda s, w, name=name: attention.l1_positive(s, w, map=name),
            lambda z, g=g: F.normalize(g(z), p=1, dim=-1),
        )
        for name, g in POSITIVE.items()
    },
    "pointwise": {
        f"torch, {name}": row(
            lambda s, w, name=name: attention.pointwise(s, w, activation=name, power=0.5), lambda z, h=h: h(z) / len(z) ** 0.5
        )
        for name, h in POINTWISE.items()
    },
    "laplace": {
        "transformers LaplaceActivation": row(
            attention.laplace, lambda z: LaplaceActivation()(z, math.sqrt(0.5), math.sqrt(0.25 / math.pi))
        ),
    },
    "adaptive_temp": {"torch: softmax(β s)": row(attention.adaptive_temp, _adaptive)},
    "softcap": {
        "torch.tanh": row(lambda s, w: jnp.where(w, attention.softcap(s, 3.0), 0.0), lambda z: 3.0 * torch.tanh(z / 3.0)),
    },
    "selective": {"x-transformers selective_attn": _selective()},
    "qk_norm": {
        "torch F.normalize": row(lambda s, w: attention.unit(jnp.where(w, s, 0.0)), lambda z: F.normalize(z, dim=-1)),
        "torch F.rms_norm": Witness(
            lambda x: attention.rms_normalized(x, 2, epsilon=1e-3),
            lambda x: F.rms_norm(x, x.shape[-2:], eps=1e-3),
            (np.random.default_rng(7).normal(size=(5, 3, 4)),),
        ),
        "torch F.layer_norm": Witness(
            lambda x: attention.layer_normalized(x, 2, epsilon=1e-3),
            lambda x: F.layer_norm(x, x.shape[-2:], eps=1e-3),
            (np.random.default_rng(8).normal(size=(5, 3, 4)),),
        ),
    },
}
