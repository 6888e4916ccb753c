"""Cutting texts into segments: sentences, lines or columns, each with a number, and positions that may start anew in each."""

import itertools
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

Segments = Literal["none", "sentences", "lines", "columns"]
Positions = Literal["text", "segment"]

# Stands between the columns of a text, with blanks around it: a token of its own in every tokenizer.
BETWEEN = "␟"
# After the end of a sentence, with what closes quotes and brackets, where blanks and the start of another follow; HTML's line
# breaks, which reviews are full of, end one too.
_ENDS = {
    "sentences": re.compile(
        r"(?<=[.!?])[\"'”’)\]]*(?=\s+[\"'“‘(\[]*[^\W_a-z])|(?<=[。！？])|(?=<br\s*/?>)|(?<=\S)(?=\s*\n\s*\S)"
    ),
    "lines": re.compile(r"(?<=\S)(?=\s*\n\s*\S)"),
    "columns": re.compile(f"(?<={BETWEEN})"),
}


def joined(cells: Sequence[str]) -> str:
    """The text of several columns; empty where all of them are.

    Example:
      >>> joined(["A man sleeps.", "He rests."])
      'A man sleeps. ␟ He rests.'
    """
    return f" {BETWEEN} ".join(cells) if len(cells) == 1 or any(map(str.strip, cells)) else ""


def parted(text: str) -> list[str]:
    """The columns of a text that ``joined`` made."""
    return text.split(f" {BETWEEN} ")


def cut(text: str, segments: Segments) -> list[str]:
    """The segments of a text, which joined give it back.

    A sentence ends at ``. ! ?`` where blanks and a letter that is not lower case, or a digit, follow; at ``。！？``; and where
    a line ends. Abbreviations before a name ("Mr. Smith") are cut as well. A column ends with the sign that stands after it.

    Example:
      >>> cut("It rained. We left! Why?", "sentences")
      ['It rained.', ' We left!', ' Why?']
    """
    if segments == "none":
        return [text]
    ends = [0, *(found.end() for found in _ENDS[segments].finditer(text)), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(ends) if start < end] or [text]


def numbered(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The ids of a text's segments end to end, and the number of each one's segment; segments without tokens are left out."""
    full = [piece for piece in pieces if len(piece)]
    lengths = [len(piece) for piece in full]
    ids = np.concatenate(full) if full else np.zeros(0, np.int32)
    return ids, np.repeat(np.arange(len(full), dtype=np.int32), lengths)


def renumbered(segments: np.ndarray) -> np.ndarray:
    """The numbers of what is left of a text, from 0 without gaps."""
    return np.cumsum(np.diff(segments, prepend=segments[:1]) != 0, dtype=np.int32)


def restarted(segments: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Positions that start at 0 in each segment of each text, int32 ``[total]``.

    Example:
      >>> restarted(np.array([0, 0, 1, 0, 0]), np.array([0, 3, 5]))
      [0, 1, 0, 0, 1]
    """
    index = np.arange(len(segments))
    starts = np.diff(segments, prepend=-1) != 0
    starts[offsets[:-1]] = True
    return (index - np.maximum.accumulate(np.where(starts, index, 0))).astype(np.int32)
