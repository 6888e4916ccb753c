"""The words of a text in any script, and how often each and each pair occurs."""

import functools
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Any

# Scripts that are written without blanks: Thai, Lao, Burmese, Khmer, kana, Chinese characters.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0eba\u0ebc-\u0ecd\u1000-\u103f\u1780-\u17d3"
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)


@functools.cache
def _pattern() -> re.Pattern[str]:
    """A sign of a script without blanks with its marks, a word with its marks, or any other sign."""
    numbers = [number for number in range(sys.maxunicode + 1) if unicodedata.category(chr(number))[0] == "M"]
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda each: each[1] - each[0])]
    marks = "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)
    return re.compile(rf"[{_UNSPACED}][{marks}]*|(?:[^\W{_UNSPACED}][{marks}]*)+|[^\w\s]")


def tokens(text: str) -> list[str]:
    """The words of a text in lower case, signs among them; half a surrogate pair is a question mark.

    Example:
      >>> tokens("It's 3 o'clock, 你好!")
      ['it', "'", 's', '3', 'o', "'", 'clock', ',', '你', '好', '!']
    """
    return _pattern().findall(text.lower().encode("utf-8", "replace").decode())


def with_pairs(text: str) -> list[str]:
    """The words, then each two neighbours with a blank between them."""
    words = tokens(text)
    return [*words, *map(" ".join, pairwise(words))]


def counts(texts: Sequence[str], analyzer: Callable[[str], list[str]], size: int) -> Any:
    """How often the tokens of each text occur, a sparse float64 ``[n size]``; the column is a hash of the token.

    Raises:
      ImportError: where scikit-learn is missing.
    """
    try:
        from sklearn.feature_extraction.text import HashingVectorizer
    except ImportError:
        raise ImportError("scikit-learn is missing: pip install 'attention-lab[train]'") from None
    options: dict[str, Any] = {"analyzer": analyzer, "alternate_sign": False, "norm": None}
    return HashingVectorizer(n_features=size, **options).transform(texts)
