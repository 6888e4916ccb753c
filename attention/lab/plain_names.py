"""Names that people give and reports print: one line of signs that can be seen, in the order in which they are written."""

import re

from attention.messages import quoted

# Control characters, separators of lines, marks and embeddings that turn the direction of writing, halves of surrogate pairs.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain_name(text: str, what: str) -> str:
    """The text, which is ``what``. Raises ValueError for a line break, another control character, or one of direction.

    Example:
      >>> plain_name("a\\u202eb", "the title")
      Traceback (most recent call last):
      ...
      ValueError: the title wants no control characters, got U+202E in 'a\\u202eb'
    """
    if found := _REFUSED.search(text):
        raise ValueError(f"{what} wants no control characters, got U+{ord(found[0]):04X} in {quoted(text)}")
    return text
