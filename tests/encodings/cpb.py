"""Evidence of continuous position bias."""

import math

import numpy as np

from tests.support.encodings import N, biased, is_shared, mlp, relu, sign, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.row import Row

W = 5


def form(name, window=64):
    def bias(params, h, i, j, heads, last):
        distance = i - j
        if name == "nlp":
            return mlp(params, [sign(distance) * math.log(1 + abs(distance))], h, lambda x: x / (1 + math.exp(-x)))
        x = 8 * distance / (window - 1)
        return 16 / (1 + math.exp(-mlp(params, [sign(x) * math.log2(1 + abs(x)) / math.log2(8)], h, relu)))

    return biased(bias)


def oracles():
    from tests.support.encoding_oracles import COUNTED, MLP, WEIGHTS, B, DynamicPositionBias, F, bias_of, network, torch
    from tests.support.witness import FLOAT32

    def swin(distance, first, first_bias, out):
        x = 8 * distance.double()[..., None] / 15
        x = torch.sign(x) * torch.log2(torch.abs(x) + 1) / math.log2(8)
        return 16 * torch.sigmoid(network(x, first, first_bias, out, None, F.relu))

    def dynamic(distance, first, first_bias, out, out_bias):
        module = DynamicPositionBias(W, heads=B.N, depth=1, log_distance=True)
        names = ("mlp.0.0.weight", "mlp.0.0.bias", "mlp.1.weight", "mlp.1.bias")
        given = {name: x.float() for name, x in zip(names, (first.T, first_bias, out.T, out_bias))}
        bias = torch.func.functional_call(module, given, (B.T, B.T)).double()
        return bias.moveaxis(0, -1).expand(B.B, B.T, B.T, B.N)

    return {
        "torch: SwinV2 in one dimension": bias_of("cpb(hidden=5, window=16)", swin, MLP[:3], *WEIGHTS[:3], tolerance=FLOAT32),
        "x-transformers DynamicPositionBias": bias_of(
            "cpb(hidden=5, form=nlp)", dynamic, MLP, *WEIGHTS, positions=COUNTED, tolerance=FLOAT32
        ),
    }


def picture():
    from tools.kinds.encoding_maps import Image, added, beside_itself, by_distance, larger, of_distance

    swin, nlp = (beside_itself(each) for each in (added("cpb", change=larger(12.0)), added("cpb(form=nlp)")))
    curves = {f"swin, head {h}": by_distance(swin[h - 1]) for h in (1, 2)}
    curves |= {f"nlp, head {h}": by_distance(nlp[h - 1]) for h in (1, 2)}
    return (
        Image("swin, head 1, less Δ = 0", swin[0]),
        Image("nlp, head 1, less Δ = 0", nlp[0]),
        of_distance("by distance, less Δ = 0", curves),
    )


ROW = Row(
    f"cpb(hidden={W})",
    {"hidden": "7", "form": "nlp", "window": "9", "shared": "True"},
    EncodingEvidence(
        (
            EncodingCase(f"cpb(hidden={W})", scores=form("swin")),
            EncodingCase(f"cpb(hidden={W}, window=9, shared=True)", scores=form("swin", 9)),
            EncodingCase(f"cpb(hidden={W}, form=nlp)", scores=form("nlp")),
        ),
        oracles,
        (0, 2 * W + W * N),
        picture=picture,
        errors={
            "cpb(hidden=0)": "hidden must be >= 1, got 0",
            "cpb(window=1)": "window must be >= 2, got 1",
            "cpb(form=nlp, window=8)": "window is for form='swin', got form='nlp'",
        },
    ),
)


def test_start():
    found = starts("cpb", num_heads=4000)
    assert not found["in"]["bias"].any()
    np.testing.assert_allclose((found["in"]["kernel"].std(), found["out"]["kernel"].std()), 0.02, rtol=0.1)


def test_shared_by_the_layers():
    assert is_shared("cpb(shared=True)")
    assert not is_shared("cpb")
