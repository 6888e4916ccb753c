"""What the tests of sources share: building one, its error, its contents, and a small table."""

from pathlib import Path

import pytest

from attention import specs


def build(name, /, **options):
    values = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
    return specs.build("source", specs.Spec(name, tuple(values.items())))


def error_of(action):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (every caller looks at the message)
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


def contents(corpus):
    return {name: (list(split.texts), split.labels.tolist()) for name, split in corpus.splits.items()}


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


ROWS = [(f"text number {number}", "good" if number % 3 else "bad") for number in range(30)]
TSV = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS)
