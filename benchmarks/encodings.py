"""A training step of a transformer with every encoding beside the one without: time and temporary memory.

python -m benchmarks.encodings [--lengths=128,512,2048] [--only=SPEC ...] [--repetitions=20] [--keep_freed_memory] [--json=PATH]

The model has 4 layers, D = 256 and 8 heads; a step is the forward and backward pass of the loss by every parameter, on a batch
of ``4096 / T`` texts of length T (at least 1), without rematerialisation but the chunked kernel's own, which ``auto`` picks at
the larger lengths. Encodings that need a causal mask are measured beside ``none`` with one.

Targets: additive, rotary and distance-only encodings 1.25, content-dependent ones 2.5.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

import attention
from attention.models.classifier import classifier
from benchmarks import _runner

LAYERS, DIM, HEADS, TOKENS = 4, 256, 8, 4096
# What compares queries or keys with something learned, or reads the scores: everything else has the tighter target.
CONTENT = {"shaw", "transformer_xl", "music", "deberta", "tupe", "cope", "dape", "fox", "tener", "rel_matrix(form=embedding)"}
# Beside the variants with their defaults.
MORE = ("rope(layout=half)", "rope(scaling=yarn, factor=4)", "alibi(form=asymmetric)", "sinusoidal + t5", "rope + alibi")
COLUMNS = {
    **_runner.TIMES,
    **_runner.TARGETS,
    "temporary MiB": lambda row: f"{row.facts['temporary_mib']:.0f}",
}


def specs() -> list[str]:
    """What is measured: every variant with its defaults, and a few options and sums."""
    return [*attention.names("encoding"), *MORE]


def step(spec: str, length: int, mask: str) -> tuple[Any, ...]:
    """The gradient of a loss as a function of parameters and tokens, and both."""
    model = classifier(
        encoder=f"transformer(layers={LAYERS})",
        mixer=f"attention(heads={HEADS})",
        encoding=spec,
        mask=mask,
        dim=DIM,
        vocab_size=1000,
        num_classes=4,
        max_length=length,
    )
    tokens = jax.random.randint(jax.random.key(0), (max(TOKENS // length, 1), length), 1, 1000)
    params = model.init(jax.random.key(1), tokens[:1], tokens[:1] > 0)["params"]

    def loss(params: Any, tokens: jax.Array, rng: jax.Array) -> jax.Array:
        logits, extra = model.apply({"params": params}, tokens, jnp.ones(tokens.shape, bool), rng=rng, train=True)
        return jnp.sum(logits**2) + jnp.sum(extra["loss"])

    return jax.value_and_grad(loss), params, tokens, jax.random.key(2)


def target(spec: str) -> float:
    """The ratio to ``none`` that a spec should not exceed."""
    return 2.5 if spec.split("(")[0] in CONTENT or spec in CONTENT else 1.25


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table per length and mask."""
    parser = _runner.parser(__doc__)
    parser.add_argument("--lengths", default="128,512,2048", help="T, with commas between them")
    parser.add_argument("--only", action="append", help="spec to measure; may be repeated")
    options = parser.parse_args(arguments)
    report = _runner.Report(options)
    for length in map(int, options.lengths.split(",")):
        for mask in ("full", "causal"):
            wanted = [s for s in options.only or specs() if s != "none"]
            fits = [s for s in wanted if attention.build("encoding", s).needs_causal == (mask == "causal")]
            if not fits:
                continue
            cases = [
                _runner.compiled(spec, *step(spec, length, mask), **({} if spec == "none" else {"target": target(spec)}))
                for spec in ("none", *fits)
            ]
            batch = max(TOKENS // length, 1)
            report.run(f"T = {length}, batch {batch}, mask {mask}, forward and backward", cases, COLUMNS, length=length)


if __name__ == "__main__":
    main()
