"""Each token is told from those before it; or, where a source asks at some places only, what it asks there.

The loss is the mean over the tokens of a batch of their cross entropy. A run is scored by nats per token; by accuracy, given
the right tokens before; by the share of rows all of whose answers are right, where the source has rows of its own; by bits per
byte, ``nats / (ln 2 · bytes)`` with the nats of the tokens that end documents and the UTF-8 bytes of these, where tokens give
the text back; and by perplexity, ``exp(nats per token)``. The line breaks at which a text is cut into documents are in none and
are not counted, so that bits per byte of a file by lines or paragraphs do not compare with those of it as one stream.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from attention.data.contracts import Encoded
from attention.messages import shown
from attention.models.tokens import language_model
from attention.tasks import Examples, Facts, Metric, Outputs, Task, Telemetry, _places, _telemetry

__all__: list[str] = []

BLOCK = 1000  # tokens of a long text that are compared as one


class Likelihoods(NamedTuple):
    """How likely texts are: the nats of each ``[M d]``, and the tokens ``[d]`` that these are of, its end among them.

    Where the text that a run has learned goes on without an end, no end is asked for.
    """

    nats: np.ndarray
    tokens: np.ndarray


def build() -> Task:
    """The next token of a text."""
    return Task(
        model=language_model,
        sized=sized,
        lacks=lacks,
        answered=_places.answered,
        example_weights=_places.example_weights,
        scored=_places.scored,
        forward=_places.forward,
        scores=scores,
        predictions=predictions,
        answer=lambda encoded, answers, facts: encoded,
        adapt=lambda encoded, classes, facts: encoded,
        read=read,
        told=told,
        columns=columns,
        details=details,
        metrics=(
            Metric("nll", "nll", higher_is_better=False, per_token=True),
            Metric("accuracy", "acc", share=True, per_token=True),
            Metric("exact_match", "exact", share=True),
            Metric("bits_per_byte", "bits/byte", higher_is_better=False),
            Metric("perplexity", "perplexity", higher_is_better=False, per_token=True),
        ),
        answers="wanted",
        rival="kneser_ney",
        at_words=True,
        next_token=True,
        ratios=(("nll", "nats", "tokens"),),
        ruled_by="accuracy",
        telemetry=Telemetry(_telemetry.attention_sample, _telemetry.measure),
    )


def sized(model: Any, vocab_size: int, num_classes: int) -> Any:
    """The model of some data, which have no classes."""
    return model.clone(dims=model.dims._replace(vocab_size=vocab_size))


def lacks(encoded: Encoded) -> str | None:
    """Every text has tokens that follow one another."""
    return "has texts to write and says nothing of each token" if encoded.wanted is None else None


def scores(outputs: Outputs, encoded: Encoded) -> dict[str, Any]:
    """The metrics, as above.

    Returns:
      ``{"nll", "accuracy", "exact_match", "bits_per_byte", "perplexity", "count"}``: ``exact_match`` is None of rows cut from
      documents, ``bits_per_byte`` where tokens do not give the text back. ``count`` is n.

    Raises:
      ValueError: where nothing is known to be right.
    """
    _places.check_known(encoded)
    rows = _places.of_rows(outputs)
    nats, tokens = float(rows["nats"].sum()), int(rows["tokens"].sum())
    nll = nats / tokens
    return {
        "nll": nll,
        "accuracy": float(outputs["right"].sum() / tokens),
        "exact_match": float(rows["correct"][rows["tokens"] > 0].mean()) if encoded.documents is None else None,
        "bits_per_byte": nats / math.log(2) / encoded.bytes if encoded.bytes else None,
        "perplexity": math.exp(nll) if nll < 700 else math.inf,
        "count": len(encoded),
    }


def predictions(outputs: Outputs, encoded: Encoded) -> dict[str, np.ndarray]:
    """The nats and tokens of each row that a source has, and whether it is right; of documents those of blocks of each."""
    if encoded.documents is None:
        return _places.of_rows(outputs)
    return _summed(outputs, _blocks(encoded.documents))


def _blocks(documents: np.ndarray) -> np.ndarray:
    """Where blocks begin, ``[b + 1]``: documents, those longer than ``BLOCK`` cut."""
    ends = [np.append(np.arange(a + BLOCK, b, BLOCK), b) for a, b in zip(documents.tolist(), documents[1:].tolist())]
    return np.concatenate([[0], *ends]).astype(np.int64)


def _summed(outputs: Outputs, bounds: np.ndarray) -> dict[str, np.ndarray]:
    """The nats and the tokens between ``bounds`` of all that is asked for."""
    nll = _places.told(outputs)["nll"].astype(np.float64)
    total = np.concatenate([[0.0], np.cumsum(nll)])
    return {"nats": np.diff(total[bounds]), "tokens": np.diff(bounds)}


def read(outputs: Outputs, encoded: Encoded, facts: Facts) -> Likelihoods:
    """How likely each text is."""
    members = [{name: array[m] for name, array in outputs.items()} for m in range(len(outputs["nll"]))]
    whole = lambda own: _places.of_rows(own) if encoded.documents is None else _summed(own, encoded.documents)
    each = [whole(own) for own in members]
    return Likelihoods(np.stack([one["nats"] for one in each]), each[0]["tokens"])


def told(found: Likelihoods, texts: Sequence[str]) -> str:
    """For each text its nats, and those per token, on average over the members."""
    lines = []
    for text, nats, tokens in zip(texts, found.nats.mean(axis=0), found.tokens):
        lines.append(f"{shown(text)}\n  {nats:.4f} nats, {nats / max(tokens, 1):.4f} per token")
    return "\n".join(lines)


def columns(found: Likelihoods, examples: Examples, facts: Facts) -> dict[str, Sequence[str | float]]:
    """The tokens of each text, and by each member its nats and those per token."""
    made: dict[str, Sequence[str | float]] = {"tokens": found.tokens.tolist()}
    for seed, nats in zip(facts.seeds, found.nats):
        each = {"nats": nats, "nats_per_token": nats / np.maximum(found.tokens, 1)}
        made |= {f"{name}({seed})": [float(f"{value:.9g}") for value in values] for name, values in each.items()}
    return made


def details(outputs: Outputs, examples: Examples, facts: Facts) -> list[str]:
    """Why bits per byte are undefined, where they are."""
    return [f"bits per byte are undefined: {examples.encoded.lost}"] if examples.encoded.lost else []
