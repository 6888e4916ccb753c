"""Evidence of cuDNN's kernel, where there is no GPU: what it refuses, and what it asks of ``jax.nn`` answered by its other way.

That cuDNN itself gives these values is checked by ``python -m benchmarks.accelerator`` on a GPU.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of
from attention.kernels import Ask, Given, chosen
from attention.records import Call
from tests.support.evidence import KernelEvidence
from tests.support.helpers import DIMS, init, jit, normal, params_of
from tests.support.row import Row
from tests.support.rows import rows

ELSEWHERE = "it is of NVIDIA GPUs, and this is for cpu"
ROW = Row("cudnn", {}, KernelEvidence(refuses=dict.fromkeys(("plain", "weights", "all"), ELSEWHERE), platform="gpu"))

T, N, H = 16, 4, 8
GIVEN = Given(dtypes=(jnp.bfloat16,) * 3, sizes=(H, H))


@pytest.fixture
def asked(monkeypatch):
    """On a GPU, as far as the kernel knows; returns what it asks of ``jax.nn``, which answers without cuDNN."""
    module, calls, compute = importlib.import_module("attention.kernels.cudnn"), [], jax.nn.dot_product_attention
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(module, "IMPLEMENTATION", "xla")

    def spy(*arrays, **options):
        calls.append(options | {"bias": arrays[3], "mask": arrays[4]})
        return compute(*arrays, **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", spy)
    return calls


def narrow(*shape, seed=0):
    return normal(seed, *shape).astype(jnp.bfloat16)


@pytest.mark.parametrize("extra", ["", "bias", "where"])
@pytest.mark.parametrize("encoding", ["none", "rope", "t5(buckets=8, max_distance=12)"])
@pytest.mark.parametrize("mask", ["full", "causal", "causal & local(window=6)"])
def test_agrees_with_the_reference(mask, encoding, extra, asked):
    """Values and gradients, with padding, a text of no token and rows that see none."""
    arrays = tuple(narrow(3, T, N, H, seed=seed) for seed in range(3))
    lengths = jnp.array([[T], [9], [0]])
    call = Call(k_valid=jnp.arange(T) < lengths, prefix=True)
    given = {}
    if extra == "bias":
        given["bias"] = jnp.where(jnp.arange(T)[:, None] == 3, -jnp.inf, normal(5, N, T, T))[None]
    if extra == "where":
        given["where"] = jnp.asarray(np.random.default_rng(0).random((3, 1, T, T)) > 0.3)
    params = params_of(encoding=encoding, dims=DIMS._replace(num_heads=N, kv_heads=N, head_dim=H))

    def loss(arrays, kernel):
        output = attention.attend(*arrays, params=params, encoding=encoding, mask=mask, call=call, kernel=kernel, **given)
        return jnp.sum(output.astype(jnp.float32) ** 2), output

    run = jit(lambda kernel: jax.value_and_grad(loss, has_aux=True)(arrays, kernel), static_argnums=0)
    ((_, found), gradients), ((_, wanted), others) = run("cudnn"), run("dense")
    assert found.dtype == jnp.bfloat16
    for one, other in zip((found, *gradients), (wanted, *others)):
        np.testing.assert_allclose(np.float32(one), np.float32(other), atol=0.03 * max(1.0, float(np.abs(other).max())))
    empty = np.asarray(wanted == 0).all((-1, -2))
    assert empty[2].all()
    np.testing.assert_array_equal(np.float32(found)[empty], 0)
    (options,) = asked
    assert (options["bias"] is not None) == (extra == "bias" or encoding.startswith("t5"))
    assert (options["mask"] is not None) == bool(extra)  # of padding and of the mask there is none in memory
    assert options["is_causal"] == ("causal" in mask)
    assert options["key_value_seq_lengths"].shape == (3,)


def test_without_padding_it_is_told_no_lengths(asked):
    arrays = tuple(narrow(T, N, H, seed=seed) for seed in range(3))  # one text, without an axis of texts
    found, wanted = (attention.attend(*arrays, kernel=kernel, mask="causal") for kernel in ("cudnn", "dense"))
    np.testing.assert_allclose(np.float32(found), np.float32(wanted), atol=0.03)
    assert "key_value_seq_lengths" not in asked[0]


@pytest.mark.parametrize(
    ("parts", "given", "message"),
    [
        ({"score": "cosine"}, {}, "the score is more than a scaled product: cosine"),
        ({"score": "additive(hidden=3)"}, {}, "the score is more than a scaled product: additive"),
        ({"normalizer": "sparsemax"}, {}, "the normalizer is no plain softmax: sparsemax"),
        ({"normalizer": "softmax(temperature=2.0)"}, {}, "the normalizer is no plain softmax: softmax"),
        ({"encoding": "shaw(max_distance=3)"}, {}, "the encoding does more to scores than to add a bias: shaw"),
        ({"mask": "bigbird"}, {}, "the mask is no causal one, no window of it, and not full: bigbird"),
        ({"mask": "local(window=4)"}, {}, "the mask is no causal one, no window of it, and not full: local"),
        ({}, {"dtypes": (jnp.float32,) * 3}, "it computes in bfloat16, and got float32: config.model.compute_dtype=bfloat16"),
        ({}, {"sizes": (12, 12)}, "heads want a multiple of 8 channels up to 128, got 12"),
        ({}, {"sizes": (136, 136)}, "heads want a multiple of 8 channels up to 128, got 136"),
        ({}, {"sizes": (8, 16)}, "values want as many channels as keys, 8, got 16"),
        ({}, {"dropout": True}, "it does not drop weights"),
        ({"mask": "causal"}, {"ordered": False}, "masks go by positions 0, 1, ..., and others are given"),
        ({}, {"arrays": ("valid",)}, "padding wants to stand at the end of each text, and nobody says so"),
    ],
)
def test_what_is_refused(parts, given, message, asked):
    def ask(parts, given):
        return chosen("cudnn", Ask(parts_of(**parts), (2, N, T, T), given=GIVEN._replace(**given)))

    with pytest.raises(ValueError, match="kernel=cudnn: ") as caught:
        ask(parts, given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ask({}, {}).spec == "cudnn"


def test_odd_and_unequal_lengths(asked):
    ask = lambda T, S, **given: chosen("cudnn", Ask(parts_of(mask="causal"), (2, N, T, S), given=GIVEN._replace(**given)))
    assert ask(7, 7).spec == "cudnn"
    with pytest.raises(ValueError, match="a bias wants even numbers of queries and keys, got 7 and 7"):
        ask(7, 7, arrays=("bias",))
    with pytest.raises(ValueError, match="masks want as many queries as keys, got 8 and 16"):
        ask(8, 16)


@pytest.mark.parametrize("inside", ["plainly", "in a loop", "recomputed"])
def test_members_are_refused_before_jax_can_map_over_it(inside, asked, monkeypatch):
    """However deep in a program it is, and not silently done wrong."""

    def one(x):
        attend = lambda x: jnp.sum(attention.attend(x, x, x, kernel="cudnn").astype(jnp.float32))
        if inside == "in a loop":
            return jax.lax.scan(lambda total, _: (total + attend(x), None), 0.0, jnp.arange(2))[0]
        return (jax.checkpoint(attend) if inside == "recomputed" else attend)(x)

    x = narrow(2, 1, T, N, H)
    assert jit(jax.grad(one))(x[0]).shape == x[0].shape
    mapped = jit(jax.vmap(jax.grad(one)))
    if jax.__version_info__ < (0, 11, 1):
        with pytest.raises(ValueError, match=r"with jax before 0[.]11[.]1 it cannot be mapped over; give config"):
            mapped(x)
    monkeypatch.setattr(jax, "__version_info__", (0, 11, 1))
    assert jit(jax.vmap(jax.grad(one)))(x).shape == x.shape


def test_auto_never_chooses_it(asked):
    for size in (16, 2**16):
        assert chosen("auto", Ask(parts_of(), (2, N, size, size), given=GIVEN)).spec != "cudnn"


# ---- what records say of themselves, by which it knows what it can do


@pytest.mark.parametrize("name", rows("normalizer"))
def test_plain_normalizers_are_softmax(name):
    normalizer = attention.build("normalizer", rows("normalizer")[name].spec)
    scores = normal(0, 2, 2, 5, 5, scale=3.0)
    if normalizer.plain:
        params = init(normalizer, DIMS._replace(num_heads=2, kv_heads=2))
        found = normalizer.apply(params, scores, None, Call(scale=0.5))
        np.testing.assert_allclose(found, jax.nn.softmax(scores), atol=1e-6)


@pytest.mark.parametrize("name", rows("mask"))
def test_bands_are_what_masks_allow(name):
    for spec in (name, f"{name} & local(window=6)", f"causal & {name}"):
        mask, S = attention.build("mask", spec), 13
        if mask.band is None:
            continue
        before, after = (S if limit is None else limit for limit in mask.band)
        i, j = np.arange(S)[:, None], np.arange(S)
        call = Call(q_positions=jnp.arange(S), k_positions=jnp.arange(S))
        allowed = True if mask.apply is None else mask.apply(call, (S, S))
        np.testing.assert_array_equal(np.broadcast_to(allowed, (1, S, S))[0], (j >= i - before) & (j <= i + after))


def test_which_are_known():
    plain = {name for name in attention.names("normalizer") if attention.build("normalizer", name).plain}
    bands = {name for name in attention.names("mask") if attention.build("mask", name).band}
    assert {"softmax", "qk_norm"} <= plain
    assert not plain & {"softcap", "selective", "sparsemax", "sink"}
    assert bands == {"causal", "full", "local"}
    assert attention.build("mask", "causal & local(window=6)").band == (3, 0)
    assert attention.build("mask", "causal & bigbird").band is None
