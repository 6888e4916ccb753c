"""Evidence of normalised queries and keys."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.helpers import DIMS, init, inputs, jit
from tests.support.normalizers import HEAD_DIM, HEADS, case
from tests.support.reference_normalizers import sigmoid, softmax
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    F, N, K, H, D, B = o.F, layers.N, layers.K, layers.H, layers.D, layers.B
    x = lambda seed: (np.random.default_rng(seed).normal(size=(5, 3, 4)),)
    of_a_head = lambda q, k: {"query": q, "key": k}

    def cohere():
        """LayerNorm with a weight per head and dimension, where ours are shared by the heads."""
        config = layers.config(layers.CohereConfig, use_qk_norm=True, layer_norm_eps=1e-6)
        witness = layers.layer(
            layers.CohereAttention(config, 0),
            "qk_norm(form=layernorm)",
            1 + layers.normal(4, H, scale=0.3),
            1 + layers.normal(5, H, scale=0.3),
            to_own=of_a_head,
            their_names=("q_norm.weight", "k_norm.weight"),
        )
        plain = witness.theirs
        return witness._replace(theirs=lambda *given: plain(*given[:-2], given[-2].expand(N, H), given[-1].expand(K, H)))

    def swin():
        """The position bias is 8 everywhere for a network of zeros. One of the scales is above the clamp."""
        module = layers.Swinv2SelfAttention(layers.Swinv2Config(qkv_bias=False), D, N, (3, 3)).double().eval()
        named = module.named_parameters()
        zeros = {name: o.torch.zeros_like(weight) for name, weight in named if name.startswith("continuous_position")}

        def theirs(x, wq, wk, wv, scale):
            given = {"query.weight": wq, "key.weight": wk, "value.weight": wv, "logit_scale": scale[:, None, None]}
            return o.torch.func.functional_call(module, given | zeros, (x,))[0]

        def ours(x, wq, wk, wv, scale):
            query, key, value = ((x @ w.T).reshape(B, 9, N, H) for w in (wq, wk, wv))
            options = {"normalizer": "qk_norm(form=l2_head_clamp)", "params": {"normalizer": {"log_scale": scale}}}
            return attention.attend(query, key, value, **options).reshape(B, 9, D)

        scale = np.array([1.0, math.log(10.0), 3.0, math.log(100.0) + 0.5])
        weights = (layers.normal(20 + i, D, D, scale=0.5) for i in range(3))
        return o.Witness(ours, theirs, (layers.normal(3, B, 9, D), *weights, scale))

    def cosines(gain):
        """Cosines times a number in torch's own attention."""
        return lambda q, k, v, where, *own: F.scaled_dot_product_attention(
            F.normalize(q, dim=-1) * (own[0] if own else gain), F.normalize(k, dim=-1), v, attn_mask=where, scale=1.0
        )

    unit = lambda q, k: (layers.x_l2norm(q), layers.x_l2norm(k))
    qwen = (layers.Qwen3Config, layers.Qwen3Attention, "qk_norm(form=rms_head)", (H,), (H,))
    olmo = (layers.Olmo2Config, layers.Olmo2Attention, "qk_norm(form=rms_full)", (N * H,), (K * H,))
    of_all_heads = lambda q, k: {"query": q.reshape(N, H), "key": k.reshape(K, H)}
    fixed, learned = layers.ours_of("qk_norm(form=l2_fixed)"), layers.ours_of("qk_norm(form=l2_scale)", "scale")
    of_torch = layers.heads_first
    return {
        "torch F.normalize": o.row(lambda s, w: attention.unit(jnp.where(w, s, 0.0)), lambda z: F.normalize(z, dim=-1)),
        "torch F.rms_norm": o.Witness(
            lambda x: attention.rms_normalized(x, 2, epsilon=1e-3), lambda x: F.rms_norm(x, x.shape[-2:], eps=1e-3), x(7)
        ),
        "torch F.layer_norm": o.Witness(
            lambda x: attention.layer_normalized(x, 2, epsilon=1e-3), lambda x: F.layer_norm(x, x.shape[-2:], eps=1e-3), x(8)
        ),
        "transformers Qwen3 (rms_head)": layers.norms(*qwen, of_a_head, rms_norm_eps=1e-6),
        "transformers OLMo2 (rms_full)": layers.norms(*olmo, of_all_heads, rms_norm_eps=1e-6),
        "transformers Cohere (layernorm)": cohere(),
        "transformers SwinV2 (l2_head_clamp)": swin(),
        "x-transformers l2norm (l2_fixed)": layers.x_transformers("qk_norm(form=l2_fixed)", scale=10.0, prepare=unit),
        "torch F.normalize, SDPA (l2_fixed)": o.Witness(fixed, of_torch(cosines(10.0)), layers.inputs(heads=N)),
        "torch F.normalize, SDPA (l2_scale)": o.Witness(
            learned, of_torch(cosines(None)), (*layers.inputs(heads=N), np.array(7.0))
        ),
    }


# Weights of scores are those of the normalizer inside; what is done to queries and keys is below.
CASES = (
    case("qk_norm(form=rms_full)", softmax, count=(HEADS + 2) * HEAD_DIM),
    case("qk_norm(form=l2_scale)", softmax, count=1),
    case("qk_norm(form=l2_fixed, inner=sigmoid)", sigmoid),
    case("qk_norm(form=l2_head_clamp)", softmax, count=HEADS),
    case("qk_norm(form=rms_head)", softmax, count=2 * HEAD_DIM),
    case("qk_norm(form=layernorm)", softmax, count=2 * HEAD_DIM),
)
FORMS = ("l2_scale", "l2_fixed", "l2_head_clamp", "rms_head", "rms_full", "layernorm")


def picture():
    """Keys of two numbers: along the query, which is the score, and across it."""
    from tools.kinds.normalizer_weights import Shown

    record, call = attention.build("normalizer", "qk_norm(form=l2_fixed)"), attention.Call()
    across = jnp.array([0.0, 2.0, 0.0, 0.5, 0.5])

    def weights(scores):
        keys = jnp.stack([scores, across], axis=-1)[:, None]
        query, keys = record.qk({}, jnp.array([[[1.0, 0.0]]]), keys, call)
        return record.apply({}, jnp.einsum("tnh,snh->nts", query, keys), None, call)[0, 0]

    return Shown("qk_norm, l2_fixed", weights)


ROW = Row(
    "qk_norm(form=rms_full)",
    {"form": tuple(form for form in FORMS if form != "rms_full"), "inner": "sigmoid"},
    NormalizerEvidence(CASES, oracles, public=None, errors={"qk_norm(form=l2)": "wants one of 'l2_scale'"}, picture=picture),
)


def _normed(x, form):
    x = np.asarray(x, np.float64)
    if form.startswith("l2"):
        return x / np.sqrt((x**2).sum(-1, keepdims=True))
    if form == "layernorm":
        x = x - x.mean(-1, keepdims=True)
    axes = (-2, -1) if form == "rms_full" else -1
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + 1e-6)


@pytest.mark.parametrize("score", ["dot", "scaled_dot"])
@pytest.mark.parametrize("form", FORMS)
def test_weights(form, score):
    """Six forms, written out; the first three make the score's scale irrelevant. Zero vectors have finite gradients."""
    query, key, value = inputs(B=1, T=3, S=4)
    record = attention.build("normalizer", f"qk_norm(form={form})")
    params = {} if record.init is None else init(record)
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    q, k = _normed(query, form), _normed(key, form)
    if form.startswith("l2"):
        gain = {"l2_fixed": 10.0, "l2_scale": own.get("scale"), "l2_head_clamp": None}[form]
        if form == "l2_head_clamp":
            gain = np.exp(np.minimum(own["log_scale"], np.log(100)))[None, None, :, None]
        q = q * gain
    else:
        q, k = q * own["query"], k * own["key"]
    scale = 1.0 if form.startswith("l2") or score == "dot" else 8**-0.5
    logits = np.einsum("btnh,bsnh->bnts", q, np.repeat(k, 2, 2)) * scale
    options = {"normalizer": record, "score": score, "params": {"normalizer": params}, "return_weights": True}
    run = lambda q: attention.attend(q, key, value, **options)
    np.testing.assert_allclose(jit(run)(query)[1], scipy.special.softmax(logits, -1), atol=1e-5)
    with jax.debug_nans(True):
        gradient = jit(jax.grad(lambda q: jnp.sum(run(q)[0] ** 2)))(jnp.zeros_like(query))
    assert np.isfinite(gradient).all()


def test_starts():
    """g = log2(L² - L), for a training length that has to be known, log 10 and 1, by form; l2_head_clamp never exceeds 100."""
    start = lambda form, dims=DIMS: attention.build("normalizer", f"qk_norm(form={form})").init(jax.random.key(0), dims)
    np.testing.assert_allclose(start("l2_scale")["scale"], np.log2(48**2 - 48), rtol=1e-6)
    with pytest.raises(ValueError, match="needs the training length"):
        start("l2_scale", DIMS._replace(max_length=None))
    np.testing.assert_allclose(start("l2_head_clamp")["log_scale"], np.log(10), rtol=1e-6)
    assert all((leaf == 1).all() for leaf in start("rms_full").values())
    assert {name: leaf.shape for name, leaf in start("rms_full").items()} == {"query": (4, 8), "key": (2, 8)}
    query, key, value = inputs(B=1, T=3, S=3)
    options = {"normalizer": "qk_norm(form=l2_head_clamp)", "return_weights": True}
    params = lambda rho: {"normalizer": {"log_scale": jnp.full(4, rho)}}
    weights = lambda rho: attention.attend(query, key, value, params=params(rho), **options)[1]
    np.testing.assert_array_equal(weights(5.0), weights(9.0))
    assert not np.allclose(weights(1.0), weights(2.0))
