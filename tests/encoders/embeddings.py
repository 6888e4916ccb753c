"""Evidence of the encoder that mixes nothing."""

from tests.support.evidence import EncoderCase, EncoderEvidence
from tests.support.row import Row

ROW = Row(
    "embeddings",
    {},
    EncoderEvidence(
        (EncoderCase("embeddings", lambda rows, sentences, params: rows, zeros=False),),
        "it does nothing",
        parts=(({"pooling": "cls"}, "encoder=embeddings with pooling=cls: .* no state that has seen all"),),
    ),
)
