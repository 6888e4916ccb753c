"""What the evidence of tokenizers shares: texts, and building one."""

from attention import specs

TEXTS = [
    "The film wasn't bad.<br /><br />It cost $1,000.5 ... 'T is 7&amp;8!",
    "the cat sat on the mat, the cat did",
    "Zoë naïve 東京 😀 [MAX 2 9 [MIN 4 7 ] 0 ]",
]


def build(spec):
    """The record."""
    return specs.build("tokenizer", spec)


def ids(tokenizer, state, text):
    """Of one text."""
    return tokenizer.encode(state, [text])[0]
