"""Where gates stand in a model, and how they are asked for."""

import jax
import numpy as np
import pytest

from attention.commands.train import variants_of
from attention.training import config
from tests.support.gates import edited, without_gate
from tests.support.helpers import float64, jit, normal
from tests.support.models import C, D, batch, classifier, made
from tests.support.rows import rows


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_where_the_gate_of_the_blocks_stands(norm):
    """Right before the projections, after a pre-norm, and on no other path: weighing the channels by the gate is weighing the
    rows of the projections."""
    _, params, forward = made(encoder=f"transformer(layers=2, mlp=1, norm={norm}, gate=mult)")
    _, _, plain_forward = made(encoder=f"transformer(layers=2, mlp=1, norm={norm})")
    tokens, valid = batch()
    weight = normal(5, D)

    def weigh(block):
        weighed = lambda leaf: {**leaf, "kernel": leaf["kernel"] * weight[:, None, None]}
        mixer = {part: leaf if part == "output" else weighed(leaf) for part, leaf in block["mixer"].items()}
        return {**without_gate(block), "mixer": mixer}

    gated = forward(edited(params, lambda block: {**block, "gate": {"weight": weight}}), tokens, valid)[0]
    np.testing.assert_allclose(gated, plain_forward(edited(params, weigh), tokens, valid)[0], atol=1e-4)


def test_options_of_the_gate_of_the_blocks():
    """Where the input gate starts, in every block."""
    model = classifier(encoder="transformer(layers=2, mlp=1, gate=input(bias=0.5))")
    encoder = jit(model.init)(jax.random.key(0), *batch())["params"]["encoder"]
    for block in ("block_0", "block_1"):
        np.testing.assert_array_equal(encoder[block]["gate"]["bias"], 0.5)
        np.testing.assert_array_equal(encoder[block]["gate"]["kernel"], 0.0)


@pytest.mark.parametrize("gate", ["none", "residual_input"])
def test_softmax_and_hidden_layer_of_the_head(gate):
    """In this order: gate, softmax over the channels, relu layer, linear layer."""
    model, params, _ = made(head_gate=gate, head_softmax=True, head_hidden=5, pooling="cls")
    tokens, valid = batch()
    logits, aux = jit(lambda p: model.apply({"params": p}, tokens, valid, capture=True))(params)
    exact = float64(params)
    vector = rows("gate")[gate].evidence.cases[0].reference(np.float64(aux["pooled"]), exact.get("head_gate"))
    shares = np.exp(vector) / np.exp(vector).sum(-1, keepdims=True)
    hidden = np.maximum(shares @ exact["head_hidden"]["kernel"] + exact["head_hidden"]["bias"], 0)
    np.testing.assert_allclose(logits, hidden @ exact["head"]["kernel"] + exact["head"]["bias"], atol=1e-4)
    assert exact["head"]["kernel"].shape == (5, C)


def test_they_are_listed():
    assert "gate=none" in variants_of("encoder")
    assert "gate='none'" in variants_of("mixer")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder": "transformer(gate=resdual)"},
            r"unknown gate 'resdual' \(nearest: 'residual'\); known: input, mult, ",
        ),
        ({"encoder": "transformer(gate=mult(bias=0))"}, r"gate 'mult\(bias=0\)': unknown option 'bias'; options of mult: none"),
        ({"mixer": "attention(gate=heads)"}, r"option 'gate' wants one of 'none', 'element', 'head' \(nearest: 'head'\)"),
        (
            {"head_gate": "multi"},
            r"unknown gate 'multi' \(nearest: 'mult'\); known: input, mult, none",
        ),
        ({"head_hidden": -1}, "head_hidden must be >= 0, got -1"),
    ],
)
def test_what_models_refuse(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        classifier(**options)
    assert "\n" not in str(caught.value)


def test_what_configs_refuse():
    with pytest.raises(ValueError, match=r"config\.model\.head_gate: unknown gate 'multi' \(nearest: 'mult'\)"):
        config.from_dict({"model": {"head_gate": "multi"}})
    assert config.from_dict({"model": {"head_gate": "input"}}).model.head_gate == "input"
