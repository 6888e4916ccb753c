"""The table of the mixers: one row per variant, and per option that is a formula of its own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

import attention
import tests.support.reference_mixers as reference

D, N, H, L = 8, 2, 4, 24
MHA = 4 * (D * D + D)


def omega(features, dim=H, seed=0, layer=0):
    """What a performer of that seed uses."""
    return attention.orthogonal_gaussian(jax.random.fold_in(jax.random.key(seed), layer), features, dim)


class Row(NamedTuple):
    """What a test knows of a mixer.

    Attributes:
      spec: small enough to test.
      reference: of (parameters, text [n D], memory [s D], causal).
      count: parameters of a layer.
      masks: the masks it is tested under.
      cross: whether it can read a memory.
      ordered: whether the order of tokens matters without an encoding and a mask.
      encoding: that it is tested with.
      options: what every option of `build` can be set to beside its default; of the first row of a variant.
      max_length: the fact.
      uses: the fact.
    """

    spec: str
    reference: Callable[..., Any]
    count: int = MHA
    masks: tuple[str, ...] = ("full",)
    cross: bool = True
    ordered: bool = False
    encoding: str = "none"
    options: dict[str, str] = {}  # noqa: RUF012
    max_length: Any = None
    uses: tuple[str, ...] = ()


_HEADS = {"heads": "4", "head_dim": "6", "bias": "False"}
BOTH = ("full", "causal")
ALL = ("encoding", "score", "normalizer", "mask")
ROWS = {
    "linear": Row("linear(heads=2)", reference.linear, masks=BOTH, options=_HEADS, uses=("rotation",)),
    "linear_rope": Row("linear(heads=2)", reference.linear_rope, masks=BOTH, ordered=True, encoding="rope", uses=("rotation",)),
    "efficient": Row("efficient(heads=2)", reference.efficient, options={**_HEADS, "scaled": "False"}),
    "efficient_paper": Row(
        "efficient(heads=2, scaled=False)", lambda *a, **rest: reference.efficient(*a, scaled=False, **rest)
    ),
    "performer": Row(
        "performer(heads=2, features=6)",
        lambda *a, **rest: reference.performer(*a, omega=omega(6), **rest),
        masks=BOTH,
        options={**_HEADS, "features": "3", "epsilon": "0.1", "seed": "1", "redraw": "True"},
    ),
    "cosformer": Row("cosformer(heads=2)", reference.cosformer, ordered=True, options={**_HEADS, "length": "24"}),
    "cosformer_length": Row(
        "cosformer(heads=2, length=24)",
        lambda *a, **rest: reference.cosformer(*a, length=24, **rest),
        masks=BOTH,
        ordered=True,
        max_length=24,
    ),
    "linformer": Row(
        "linformer(heads=2, rank=3)",
        reference.linformer,
        MHA + 2 * L * 3,
        ordered=True,
        options={**_HEADS, "rank": "5", "share": "kv"},
        max_length="dims",
        uses=("normalizer",),
    ),
    "linformer_shared": Row(
        "linformer(heads=2, rank=3, share=kv)",
        reference.linformer,
        MHA + L * 3,
        ordered=True,
        max_length="dims",
        uses=("normalizer",),
    ),
    "nystrom": Row(
        "nystrom(heads=2, landmarks=3)",
        reference.nystrom,
        cross=False,
        ordered=True,
        options={**_HEADS, "landmarks": "2", "iterations": "2", "conv": "3"},
    ),
    "nystrom_conv": Row("nystrom(heads=2, landmarks=3, conv=5)", reference.nystrom, MHA + 5 * N, cross=False, ordered=True),
    "fnet": Row("fnet", reference.fnet, 0, cross=False, ordered=True, options={"length": "20"}, max_length="dims"),
    "aft": Row(
        "aft",
        reference.aft,
        MHA + L * L,
        masks=BOTH,
        ordered=True,
        options={"form": "simple", "bias": "False"},
        max_length="dims",
    ),
    "aft_simple": Row("aft(form=simple)", reference.aft, masks=BOTH),
    "synthesizer": Row(
        "synthesizer(heads=2)",
        reference.synthesizer,
        3 * (D * D + D) + N * L * (H + 1),
        masks=BOTH,
        ordered=True,
        options={**_HEADS, "form": "random", "trainable": "False, form=random"},
        max_length="dims",
        uses=("mask",),
    ),
    "synthesizer_random": Row(
        "synthesizer(heads=2, form=random)",
        reference.synthesizer,
        2 * (D * D + D) + N * L * L,
        masks=BOTH,
        ordered=True,
        max_length="dims",
        uses=("mask",),
    ),
    "gau": Row(
        "gau(key_dim=4, expansion=1.5)",
        reference.gau,
        D * (3 * 12 + 4) + 4 * 4,
        masks=BOTH,
        cross=False,
        options={"key_dim": "6", "expansion": "1.0"},
        uses=("encoding", "mask"),
    ),
    "attention": Row(
        "attention(heads=2)",
        reference.attention,
        masks=BOTH,
        options={**_HEADS, "kv_heads": "1", "gate": "head", "talking_heads": "True", "memory": "2", "projections": "none"},
        uses=ALL,
    ),
    "attention_qkv": Row("attention(heads=2, projections=qkv)", reference.attention, 3 * (D * D + D), masks=BOTH, uses=ALL),
    "attention_states": Row("attention(heads=2, projections=none)", reference.attention, 0, masks=BOTH, uses=ALL),
    "attention_grouped": Row(
        "attention(heads=4, kv_heads=2)", reference.attention, 2 * (D * D + D) + 2 * (D * 4 + 4), masks=BOTH, uses=ALL
    ),
    "attention_talking": Row(
        "attention(heads=2, talking_heads=True)", reference.attention, MHA + 2 * N * N, masks=BOTH, uses=ALL
    ),
    "attention_memory": Row(
        "attention(heads=2, kv_heads=1, memory=3)",
        reference.attention,
        2 * (D * D + D) + 2 * (D * 4 + 4) + 2 * 3 * 4,
        masks=BOTH,
        uses=ALL,
    ),
    "latent_attention": Row(
        "latent_attention(heads=2, head_dim=3, rope_dim=2, rank=5)",
        reference.latent_attention,
        D * (5 + 2 + 2 * 5) + 5 + 5 * 2 * 6 + 2 * 3 * D,
        masks=BOTH,
        options={"heads": "4", "head_dim": "6", "rope_dim": "4", "value_dim": "4", "rank": "6", "query_rank": "3"},
        uses=ALL,
    ),
    "latent_attention_rope": Row(
        "latent_attention(heads=2, head_dim=3, rope_dim=2, value_dim=4, rank=5, query_rank=6)",
        lambda *a, **rest: reference.latent_attention(*a, turned=True, **rest),
        D * (5 + 2) + 5 + 5 * 2 * 7 + 2 * 4 * D + D * 6 + 6 + 6 * 2 * 5,
        masks=BOTH,
        ordered=True,
        encoding="rope",
        uses=ALL,
    ),
    "longformer": Row(
        "longformer(heads=2, window=2, globals=1)",
        reference.longformer,
        MHA + 3 * (D * D + D),
        masks=BOTH,
        cross=False,
        ordered=True,
        options={**_HEADS, "window": "4", "globals": "2", "separate": "False"},
        uses=ALL,
    ),
    "bigbird": Row(
        "bigbird(heads=2, block=2, random_blocks=0)",
        reference.bigbird,
        masks=BOTH,
        ordered=False,  # three blocks, each within one of the next, the first and the last: every pair
        options={**_HEADS, "block": "1", "random_blocks": "1, block=1", "seed": "1, block=1, random_blocks=1"},
        uses=ALL,
    ),
}


def variant(name):
    """The variant of a row."""
    return ROWS[name].spec.split("(")[0]
