"""Evidence of the transformer."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.attend import parts_of
from attention.records import Call, Context
from attention.tasks import _telemetry as telemetry
from tests.support.encoders import ATTENTION, DIMS, KEY_BIAS, D, N, attend, with_mixer, witness
from tests.support.evidence import EncoderCase, EncoderEvidence
from tests.support.helpers import jit
from tests.support.models import classifier, made
from tests.support.row import Row


def layer_norm(x, params):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * params["scale"] + params.get("bias", 0)


def rms_norm(x, params):
    return x / np.sqrt((x**2).mean() + 1e-6) * params["scale"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def mlp(rows, params):
    hidden = [gelu(x @ params["in"]["kernel"] + params["in"].get("bias", 0)) for x in rows]
    return [h @ params["out"]["kernel"] + params["out"].get("bias", 0) for h in hidden]


def reference(layers=1, norm="pre", normed=layer_norm, registers=0):
    def apply(rows, sentences, params):
        rows = [*params.get("registers", np.zeros((0, rows.shape[1]))), *rows]
        for layer in range(layers):
            block = params[f"block_{layer}"]
            for name, step in (("mixer", attend), ("mlp", mlp)):
                inside = [normed(x, block[f"{name}_norm"]) for x in rows] if norm != "post" else rows
                added = step(inside, block[name])
                if norm == "sandwich":
                    added = [normed(x, block[f"{name}_norm_after"]) for x in added]
                rows = [x + y for x, y in zip(rows, added)]
                if norm == "post":
                    rows = [normed(x, block[f"{name}_norm"]) for x in rows]
        if norm != "post":
            rows = [normed(x, params["norm"]) for x in rows]
        return rows[registers:]

    return apply


def oracles():
    from tests.support.oracle_packages import F, torch

    def block(y, own, norm_first):
        """``torch.nn.TransformerEncoderLayer`` with our weights."""
        mixer, mlp, names = own["mixer"], own["mlp"], ("query", "key", "value")
        gelu = lambda h: F.gelu(h, approximate="tanh")
        width = mlp["in"]["bias"].shape[0]
        module = torch.nn.TransformerEncoderLayer(D, N, width, 0.0, gelu, 1e-6, True, norm_first).double()
        weights = {
            "self_attn.in_proj_weight": torch.cat([mixer[name]["kernel"].reshape(D, D).T for name in names]),
            "self_attn.in_proj_bias": torch.cat([mixer[name]["bias"].reshape(D) for name in names]),
            "self_attn.out_proj.weight": mixer["output"]["kernel"].reshape(D, D).T,
            "self_attn.out_proj.bias": mixer["output"]["bias"],
            "linear1.weight": mlp["in"]["kernel"].T,
            "linear1.bias": mlp["in"]["bias"],
            "linear2.weight": mlp["out"]["kernel"].T,
            "linear2.bias": mlp["out"]["bias"],
        }
        for i, norm in enumerate(("mixer_norm", "mlp_norm"), 1):
            weights |= {f"norm{i}.weight": own[norm]["scale"], f"norm{i}.bias": own[norm]["bias"]}
        return torch.func.functional_call(module, weights, (y,))

    def theirs(norm_first):
        def apply(texts, params):
            found = [block(rows[None], params["block_0"], norm_first)[0] for rows in texts]
            if not norm_first:
                return found
            return [F.layer_norm(rows, (D,), params["norm"]["scale"], params["norm"]["bias"], 1e-6) for rows in found]

        return apply

    return {
        "torch.nn.TransformerEncoderLayer, norm first": witness("transformer(layers=1, mlp=2)", theirs(True)),
        "torch.nn.TransformerEncoderLayer, norm last": witness("transformer(layers=1, mlp=2, norm=post)", theirs(False)),
    }


BLOCK = ATTENTION + (2 * D * 2 * D + 3 * D) + 4 * D  # mlp=2 and two norms


def case(options, *rest, **options_of_reference):
    """Padding is not zero, and softmax does not see what keys add to a whole row."""
    spec = f"transformer({options})"
    return EncoderCase(spec, reference(**options_of_reference), *rest, zeros=False, dead=KEY_BIAS)


CASES = (
    case("layers=1, mlp=2", BLOCK + 2 * D),
    case("layers=2, mlp=2", 2 * BLOCK + 2 * D, layers=2),
    case("layers=1, mlp=2, norm=post", BLOCK, norm="post"),
    case("layers=1, mlp=2, norm=sandwich", BLOCK + 4 * D + 2 * D, norm="sandwich"),
    case("layers=1, mlp=2, norm_type=rms", BLOCK - 2 * D + D, normed=rms_norm),
    case("layers=1, mlp=2, bias=False", BLOCK - 3 * D - 2 * D + D),
    case("layers=1, mlp=2, registers=2", BLOCK + 4 * D, registers=2),
)
OPTIONS = {
    "layers": "2",
    "mlp": "1",
    "activation": ("relu", "swiglu"),
    "norm": ("post", "sandwich"),
    "norm_type": "rms",
    "gate": ("input", "residual"),
    "init": ("depth", "gpt2"),
    "stochastic_depth": "0.5",
    "registers": "1",
    "bias": "False",
}
ERRORS = {
    "transformer(stochastic_depth=1)": r"stochastic_depth must be in \[0, 1\), got 1",
    "transformer(registers=-1)": "registers must be >= 0, got -1",
    "transformer(layers=0)": "layers must be >= 1, got 0",
    "transformer(mlp=0)": "mlp must be > 0, got 0.0",
}
ROW = Row("transformer(layers=1, mlp=2)", OPTIONS, EncoderEvidence(CASES, oracles, errors=ERRORS))


def test_depth_scaled_start():
    """The output projections of mixer and MLP times 1/√(2L), and nothing else; a mixer without one is refused."""
    x = jnp.zeros((1, 2, D))
    plain, scaled = (_start(f"transformer(layers=3, mlp=2, init={init})", x) for init in ("plain", "depth"))
    for (path, one), two in zip(jax.tree.leaves_with_path(plain), jax.tree.leaves(scaled)):
        name = jax.tree_util.keystr(path)
        factor = 6**-0.5 if "['output']" in name or "['out']" in name else 1.0
        np.testing.assert_allclose(two, factor * one, rtol=1e-6, err_msg=name)
    with pytest.raises(
        ValueError, match="init=depth scales the mixer's output projection at the start, and this mixer has none"
    ):
        _start("transformer(init=depth)", x, mixer="fnet")


def test_gpt2_start():
    """Radford et al. 2019, and its code: N(0, 0.02²), into the residual stream 1/√(2L) of that; no biases on request."""
    params = _start(
        "transformer(layers=2, mlp=4, init=gpt2, bias=False)", jnp.zeros((1, 2, 64)), "attention(heads=2, bias=False)"
    )
    drawn = {}
    for path, leaf in jax.tree.leaves_with_path(params):
        name = jax.tree_util.keystr(path)
        assert "bias" not in name
        if "scale" in name:
            np.testing.assert_array_equal(leaf, 1)
            continue
        drawn[name] = np.asarray(leaf).ravel()
        std = 0.02 / 2 if "['output']" in name or "['out']" in name else 0.02
        assert leaf.std() == pytest.approx(std, rel=6 / math.sqrt(2 * leaf.size)), name
    joined = np.stack([each[:4096] for each in drawn.values()])
    assert np.abs(np.corrcoef(joined) - np.eye(len(joined))).max() < 0.1  # each is drawn for itself


def _start(spec, x, mixer="attention(heads=2)"):
    encoder = with_mixer(spec, mixer)
    context = Context(parts_of("none"), {}, tokens=jnp.zeros(x.shape[:-1], jnp.int32))
    width = x.shape[-1]
    dims = DIMS._replace(model_dim=width, head_dim=width // DIMS.num_heads)
    return encoder.init(jax.random.key(0), x, context, Call(), dims)["params"]


def test_stochastic_depth():
    """Whole branches of single examples are left out, the later ones more often; nothing is at test; the mean is kept."""
    count, p = 400, 0.6
    model, params, _ = made(encoder=f"transformer(layers=2, mlp=1, stochastic_depth={p})", encoding="none")
    for block in ("block_0", "block_1"):  # what is added does not depend on the input: the mixer adds 1, the MLP 10
        own = params["encoder"][block]
        params["encoder"][block] = {
            **own,
            "mixer": jax.tree.map(jnp.zeros_like, own["mixer"]),
            "mlp": jax.tree.map(jnp.zeros_like, own["mlp"]),
        }
        params["encoder"][block]["mixer"]["output"]["bias"] += 1.0
        params["encoder"][block]["mlp"]["out"]["bias"] += 10.0
    tokens = jnp.ones((count, 2), jnp.int32)
    apply = lambda rng=None, train=False: model.apply(
        {"params": params}, tokens, tokens > 0, capture=True, rng=rng, train=train
    )
    run = jit(lambda **rest: apply(**rest)[1], static_argnames="train")
    found, plain = run(rng=jax.random.key(0), train=True), run(rng=jax.random.key(0))
    for layer, rate in enumerate((p / 2, p)):
        before = found["embeddings" if layer == 0 else "layer_0/output"]
        added = np.asarray(found[f"layer_{layer}/output"] - before)
        np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-3)
        mixed, passed = np.divmod(np.round(added[:, 0, 0] * (1 - rate)), 10)
        assert set(mixed) == set(passed) == {0.0, 1.0}
        for kept in (mixed, passed):
            assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / count)
        assert 0.05 < np.mean((mixed == 1) & (passed == 0)) < 0.5  # each branch draws for itself
    np.testing.assert_allclose(plain["layer_1/output"], plain["embeddings"] + 22.0, atol=1e-4)
    np.testing.assert_allclose(run(train=False)["layer_1/output"], plain["layer_1/output"])
    with pytest.raises(ValueError, match="stochastic_depth in training needs rng"):
        run(train=True)


@pytest.mark.parametrize("encoding", ["sinusoidal", "rope", "learned + t5", "cpe", "randomized(inner=rope, max_position=99)"])
def test_registers(encoding):
    """They are seen by the text, not by the pooling, and the text keeps its positions: numbered from 0, or as it is told."""
    specs = {"encoder": "transformer(layers=2, mlp=1, registers=3)", "encoding": encoding, "pooling": "max"}
    model, params, _ = made(**specs)
    tokens, valid = jnp.tile(jnp.arange(1, 7), (2, 1)), jnp.arange(6) < jnp.array([[6], [4]])

    @jit
    def run(params, positions=None):
        rng = jax.random.key(0)
        return model.apply({"params": params}, tokens, valid, capture=True, rng=rng, positions=positions)

    logits, captured = run(params)
    assert captured["states"].shape[1] == 6
    assert captured["layer_0/weights"].shape[-2:] == (9, 9)
    assert (captured["layer_0/weights"][..., :3] > 0).all()
    np.testing.assert_array_equal(captured["layer_0/weights"][1, :, :, 7:], 0)
    if not encoding.startswith("randomized"):
        np.testing.assert_allclose(run(params, positions=jnp.tile(jnp.arange(6), (2, 1)))[0], logits, atol=1e-5)
    moved = dict(params["encoder"], registers=params["encoder"]["registers"] + jnp.arange(8) % 3)
    assert not np.allclose(run({**params, "encoder": moved})[0], logits, atol=1e-3)
    few = model.clone(encoder=dataclasses.replace(model.encoder, registers=0))
    without = {name: leaf for name, leaf in params["encoder"].items() if name != "registers"}
    without = {**params, "encoder": without}
    plain = jit(lambda p: few.apply({"params": p}, tokens, valid, capture=True, rng=jax.random.key(0))[1])(without)
    scores = lambda weights: np.log(weights[0, :, 1:, 1:]) - np.log(weights[0, :, 1:, :1])  # what softmax leaves of the scores
    ours = captured["layer_0/weights"][:, :, 3:, 3:]
    if encoding != "cpe":
        np.testing.assert_allclose(scores(ours), scores(plain["layer_0/weights"]), atol=2e-4)


def test_registers_beside_other_parts():
    """The measured weights, the size of the problem, masks by segment, a mixer with a place for each token, an added token."""
    encoder = "transformer(layers=1, mlp=1, registers=2)"
    model, params, _ = made(encoder=encoder, mask="document & local(window=4)", pooling="cls")
    tokens, valid = jnp.tile(jnp.arange(1, 7), (2, 1)), jnp.arange(6) < jnp.array([[6], [4]])
    segments = jnp.array([[0, 0, 1, 1, 1, 1]] * 2)
    weights = model.apply({"params": params}, tokens, valid, segments=segments, capture=True)[1]["layer_0/weights"]
    allowed = telemetry.allowed_pairs(model, valid, segments=segments)
    wanted = np.broadcast_to(allowed, weights.shape)
    np.testing.assert_array_equal(wanted[0], weights[0] > 0)
    np.testing.assert_array_equal(wanted[1, :, :7], weights[1, :, :7] > 0)  # what padding asks for has no meaning
    assert allowed.shape == (2, 1, 9, 9)
    # Registers, the added token and the first two tokens, at 0, 0, 0, 1 and 2, are in the first segment.
    np.testing.assert_array_equal(allowed[0, 0, :5, :5].sum(), 25)
    np.testing.assert_array_equal(allowed[0, 0, 5:, :5], False)
    assert classifier().kernel_at(2, 1024) == "dense"
    assert classifier(encoder=encoder).kernel_at(2, 1024) == "chunked"
    model, params, forward = made(encoder=encoder, mixer="linformer(heads=2, rank=3)", encoding="none")
    assert np.isfinite(forward(params, jnp.ones((1, 24), jnp.int32), jnp.ones((1, 24), bool))[0]).all()
