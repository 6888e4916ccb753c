"""A text is read, and another is written from it, token by token.

The loss of an example is the mean over the tokens of its target, each given those before it; in a batch every token counts
the same. A run is scored by the share of targets that it writes token for token, by the share of tokens that are the likeliest
given those before them, and by their negative log likelihood. Members write greedily, or with a beam where an evaluation asks
for one.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.data.contracts import PADDING, UNKNOWN, Encoded
from attention.data.encode import encode_targets
from attention.messages import plain, shown
from attention.models.seq2seq import seq2seq, write
from attention.tasks import Batch, Examples, Facts, Metric, Outputs, Task, smoothed_cross_entropy
from attention.tasks._texts import other

__all__: list[str] = []

SHOWN = 5  # errors


class Transcripts(NamedTuple):
    """What a run writes of some texts: for each member a text for each; an ellipsis ends one that found no end."""

    written: list[list[str]]


def build() -> Task:
    """Another text for each."""
    return Task(
        model=seq2seq,
        sized=sized,
        lacks=lacks,
        answered=answered,
        example_weights=example_weights,
        scored=scored,
        forward=forward,
        scores=scores,
        predictions=predictions,
        answer=answer,
        adapt=lambda encoded, classes, facts: encoded,
        read=read,
        told=told,
        columns=columns,
        details=details,
        metrics=(
            Metric("exact_match", "exact", share=True),
            Metric("token_accuracy", "tokens", share=True),
            Metric("nll", "nll", higher_is_better=False),
        ),
        answers="target",
        search=(("beam", 1), ("length_penalty", 0.0)),
    )


def sized(model: Any, vocab_size: int, num_classes: int) -> Any:
    """The model of some data, which have no classes."""
    decoder = dataclasses.replace(model.decoder, dims=model.decoder.dims._replace(vocab_size=vocab_size))
    return model.clone(dims=model.dims._replace(vocab_size=vocab_size), decoder=decoder)


def lacks(encoded: Encoded) -> str | None:
    """A split wants a target for every text."""
    return other(encoded, "texts to write") or (None if answered(encoded) else "wants a text to write for every text")


def answered(encoded: Encoded) -> bool:
    """Whether the examples have targets."""
    return encoded.targets is not None


def example_weights(batch: Batch, class_weights: tuple[float, ...] | None) -> jax.Array:
    """The tokens of each target; 0 for filler."""
    return batch["weight"] * jnp.sum(batch["targets"] != PADDING, axis=-1)


def scored(logits: jax.Array, batch: Batch, smoothing: Any) -> tuple[jax.Array, jax.Array]:
    """The mean loss of the tokens of each target, and whether all have the largest logit; logits are ``[B U V]``."""
    targets, written = batch["targets"], batch["targets"] != PADDING
    losses = jnp.where(written, smoothed_cross_entropy(logits, targets, smoothing), 0.0)
    right = jnp.all((jnp.argmax(logits, -1) == targets) | ~written, axis=-1)
    return jnp.sum(losses, axis=-1) / jnp.maximum(jnp.sum(written, axis=-1), 1), right


def forward(
    model: Any,
    params: Any,
    given: Mapping[str, jax.Array],
    rng: jax.Array,
    *,
    longest: int,
    beam: int = 1,
    length_penalty: float = 0.0,
) -> dict[str, jax.Array]:
    """What a member writes of a batch, and what it says of the targets where there are such.

    A target may get as long as the batch is padded, or, without targets, as the longest of training.

    Returns:
      * tokens: int32 ``[B U]``, 0 after the end;
      * log_p: the logarithm of the probability of the target, ``[B]``; 0 where there is none;
      * right: how many tokens of the target are the likeliest given those before them, ``[B]``.
    """
    source = {name: value for name, value in given.items() if name != "targets"}
    length = given["tokens"].shape[-1] if "targets" in given else longest
    tokens, log_p = write(model, params, **source, length=length, width=beam, length_penalty=length_penalty, rng=rng)
    found = {"tokens": tokens[:, 0], "log_p": jnp.zeros_like(log_p[:, 0]), "right": jnp.zeros(len(tokens), jnp.int32)}
    if "targets" in given:
        targets, inside = given["targets"], given["targets"] != PADDING
        logits, _ = model.apply({"params": params}, **given, rng=rng, train=False)
        each = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
        found["log_p"] = jnp.sum(jnp.where(inside, each, 0.0), axis=-1)
        found["right"] = jnp.sum((jnp.argmax(logits, -1) == targets) & inside, axis=-1, dtype=jnp.int32)
    return found


def scores(outputs: Outputs, encoded: Encoded) -> dict[str, float]:
    """How often all of a target was written, and what the model says of its tokens.

    * exact_match: share of the sources whose target was written token for token, with its end and nothing else; a target with
      an unknown token, which stands for many, is never matched;
    * token_accuracy: share of the tokens of all targets that are the likeliest given those before them;
    * nll: mean over these tokens of ``-log p``, in nats.

    Args:
      outputs: what a member wrote.
      encoded: the split, with targets.

    Returns:
      ``{"exact_match", "token_accuracy", "nll", "count"}``; count is n.

    Raises:
      ValueError: for a split without targets, or of another size.
    """
    if encoded.targets is None or len(encoded) != len(outputs["tokens"]):
        have = "none" if encoded.targets is None else str(len(encoded))
        raise ValueError(f"a score wants one target for each of {len(outputs['tokens'])} sources, got {have}")
    count = int(encoded.targets.lengths.sum())
    return {
        "exact_match": float(matches(outputs["tokens"], encoded.targets).mean()),
        "token_accuracy": float(outputs["right"].sum() / count),
        "nll": float(-outputs["log_p"].astype(np.float64).sum() / count),
        "count": len(encoded),
    }


def matches(tokens: np.ndarray, targets: Encoded) -> np.ndarray:
    """Whether each row of ``[n U]`` is its target and nothing more, bool ``[n]``."""
    wanted = np.zeros((len(targets), max(tokens.shape[1], int(targets.lengths.max()))), np.int32)
    inside = np.arange(wanted.shape[1]) < targets.lengths[:, None]
    wanted[inside] = targets.flat
    have = np.pad(tokens, ((0, 0), (0, wanted.shape[1] - tokens.shape[1])))
    return (have == wanted).all(axis=1) & (wanted != UNKNOWN).all(axis=1)


def predictions(outputs: Outputs, encoded: Encoded) -> dict[str, np.ndarray]:
    """Whether each target was written."""
    assert encoded.targets is not None
    return {"correct": matches(outputs["tokens"], encoded.targets)}


def answer(encoded: Encoded, answers: Sequence[str], facts: Facts) -> Encoded:
    """The examples with targets, given as texts."""
    return encode_targets(encoded, facts.tokenizer, facts.state, answers, max_length=facts.max_length)


def read(outputs: Outputs, encoded: Encoded, facts: Facts) -> Transcripts:
    """The texts that the tokens ``[M n U]`` stand for."""

    return Transcripts([[_text(row, facts) for row in member] for member in outputs["tokens"]])


def _text(tokens: np.ndarray, facts: Facts) -> str:
    """What tokens stand for; an ellipsis ends a text that found no end."""
    end = facts.vocab_size - 1
    inside = tokens[(tokens != end) & (tokens != PADDING)].tolist()
    return facts.tokenizer.decode(facts.state, inside) + ("" if end in tokens else " …")


def told(found: Transcripts, texts: Sequence[str]) -> str:
    """For each text what the members write, and how many of them write it."""
    lines = []
    for text, *column in zip(texts, *found.written):
        lines.append(shown(text))
        for each in dict.fromkeys(column):
            many = f"  ({column.count(each)} of {len(column)} members)" if len(column) > 1 else ""
            lines.append(f"  {plain(each)}{many}")
    return "\n".join(lines)


def columns(found: Transcripts, examples: Examples, facts: Facts) -> dict[str, Sequence[str]]:
    """What each member wrote, and the target where it is known."""
    made: dict[str, Sequence[str]] = {f"written({seed})": texts for seed, texts in zip(facts.seeds, found.written)}
    return made if examples.targets is None else {**made, "target": examples.targets}


def details(outputs: Outputs, examples: Examples, facts: Facts) -> list[str]:
    """The first errors of the first member."""
    assert examples.targets is not None
    assert examples.encoded.targets is not None
    wrong = np.flatnonzero(~matches(outputs["tokens"][0], examples.encoded.targets))[:SHOWN]
    if not len(wrong):
        return []
    lines = [f"the first errors of seed {facts.seeds[0]}"]
    for row in wrong.tolist():
        text = _text(outputs["tokens"][0, row], facts)
        said = {"": examples.texts[row], "  wanted   ": examples.targets[row], "  written  ": text}
        lines += [f"{head}{shown(what)}" for head, what in said.items()]
    return ["\n".join(lines)]
