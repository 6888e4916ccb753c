"""Evidence of the task that tells each token from those before it."""

import dataclasses
import math

import numpy as np
import pytest

from attention.data import windows
from attention.data.contracts import Encoded
from attention.tasks import Examples, lm
from tests.support.evidence import TaskEvidence
from tests.support.row import Row
from tests.support.tasks import UNLABELLED, facts

ENCODED = dataclasses.replace(UNLABELLED, wanted=np.array([3, -1, 2, 2, 5, -1], np.int32))
ASKED = np.array([[[1, 0, 0], [1, 0, 0], [1, 1, 0]]] * 2, bool)
NLL = np.array([[[1.0, 0, 0], [0.5, 0, 0], [0.5, 2.0, 0]], [[3.0, 0, 0], [0.5, 0, 0], [0.5, 1.0, 0]]])
RIGHT = np.array([[[1, 0, 0], [1, 0, 0], [1, 0, 0]], [[0, 0, 0], [1, 0, 0], [1, 1, 0]]], bool)
TOLD = """\
a b
  2.0000 nats, 2.0000 per token
c
  0.5000 nats, 0.5000 per token
d a z
  2.0000 nats, 1.0000 per token"""


def loss(logits, wanted, smoothing):
    """The mean over the places of the cross entropy with what is wanted, mixed with the uniform distribution."""
    losses, right = [], []
    for row, token in zip(logits, wanted):
        if token >= 0:
            mixed = (1 - smoothing) * np.eye(len(row))[token] + smoothing / len(row)
            losses.append(-(mixed * (row - np.log(np.exp(row).sum()))).sum())
            right.append(row.argmax() == token)
    return np.mean(losses), np.mean(right)


ROW = Row(
    "lm",
    {},
    TaskEvidence(
        model={
            "mask": "causal",
            "encoding": "rope",
            "dim": 8,
            "mixer": "attention(heads=2)",
            "encoder": "transformer(layers=1)",
        },
        answers=(),
        encoded=ENCODED,
        reads="wanted",
        loss=loss,
        weights={None: [1, 1, 2, 0]},
        outputs={"asked": ASKED, "known": ASKED, "nll": NLL, "right": RIGHT, "predicted": np.where(RIGHT, 3, 0)},
        scores={
            "nll": 1.0,
            "accuracy": 3 / 4,
            "exact_match": 2 / 3,
            "bits_per_byte": None,
            "perplexity": math.e,
            "count": 3,
        },
        unscored="what is right at one place or more",
        correct=[True, True, False],
        told=TOLD,
        columns={
            "tokens": [1, 1, 2],
            "nats(3)": [1.0, 0.5, 2.5],
            "nats_per_token(3)": [1.0, 0.5, 1.25],
            "nats(5)": [3.0, 0.5, 1.5],
            "nats_per_token(5)": [3.0, 0.5, 0.75],
        },
        details=[],
        lacks=(("has texts to write and says nothing of each token", UNLABELLED),),
        errors={"lm(beam=2)": "unknown option 'beam'"},
    ),
)


def documents(*lengths: int) -> Encoded:
    """Rows of 8 tokens of documents, and that they have 11 bytes."""
    texts = [np.full(length, 2) for length in lengths]
    ids, starts = windows.begun(texts, np.ones(len(texts), bool), end=9)
    ids, offsets = np.append(ids, 9).astype(np.int32), np.append(starts, len(ids))
    whole = Encoded(ids[:-1], offsets, np.full(len(texts), -1, np.int32), wanted=ids[1:], documents=offsets, bytes=11)
    return windows.rows(whole, length=8, windows="stream", stride=3)


def of(rows: Encoded) -> dict[str, np.ndarray]:
    """Outputs of a member that takes 1, 2, 3, ... nats for the tokens in their order."""
    assert rows.wanted is not None
    asked = np.zeros((len(rows), 8), bool)
    for row, (start, end) in enumerate(zip(rows.offsets, rows.offsets[1:])):
        asked[row, : end - start] = rows.wanted[start:end] >= 0
    nll = np.zeros(asked.shape)
    nll[asked] = np.arange(1, asked.sum() + 1)
    return {"asked": asked, "known": asked, "nll": nll, "right": asked, "predicted": asked.astype(np.int32)}


def test_bits_per_byte_are_of_all_tokens_and_ends_over_the_bytes_of_the_text():
    """Exact matches have no meaning in windows."""
    rows = documents(4, 6)
    scores = lm.scores(of(rows), rows)
    total = np.arange(1, 13).sum()  # 4 + 1 + 6 + 1 tokens
    assert scores["nll"] == pytest.approx(total / 12)
    assert scores["bits_per_byte"] == pytest.approx(total / math.log(2) / 11)
    assert scores["exact_match"] is None


def test_documents_have_their_own_nats():
    """Whatever the windows; those of more than 1,000 tokens are compared in blocks."""
    rows = documents(4, 6)
    found = lm.read({name: array[None] for name, array in of(rows).items()}, rows, facts())
    assert found.tokens.tolist() == [5, 7]
    assert found.nats.tolist() == [[15.0, 63.0]]
    long = documents(2100, 3)
    blocks = lm.predictions(of(long), long)
    assert blocks["tokens"].tolist() == [1000, 1000, 101, 4]
    assert blocks["nats"].sum() == pytest.approx(np.arange(1, 2106).sum())


def test_why_bits_per_byte_are_undefined():
    """Said where they would stand."""
    lost = dataclasses.replace(documents(4), bytes=None, lost="3 tokens are unknown")
    assert lm.scores(of(lost), lost)["bits_per_byte"] is None
    outputs = {name: array[None] for name, array in of(lost).items()}
    assert lm.details(outputs, Examples(["a"], lost), facts()) == ["bits per byte are undefined: 3 tokens are unknown"]
