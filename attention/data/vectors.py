"""Pretrained word vectors: the text formats of GloVe, word2vec and fastText, and files of tensors."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from attention import tensors
from attention.data import vector_tensors
from attention.data.contracts import UNKNOWN
from attention.files import regular
from attention.messages import quoted

_LONGEST = 2**20  # bytes of a line


def load_vectors(path: str | PathLike[str], vocabulary: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Reads the vectors of the words of a vocabulary.

    A ``.safetensors`` file has them as ``vector_tensors.load`` says. A line of a text is ``word v1 v2 ...`` with single blanks;
    a first line of two whole numbers is the header ``rows dim`` of word2vec and fastText. Words are compared as they are: a
    lower-cased vocabulary finds no ``London``.

    Example:
      >>> matrix, found = load_vectors("glove.6B.100d.txt", dataset.tokenizer.vocabulary(dataset.tokenizer_state))

    Args:
      path: the file; a text may be gzipped.
      vocabulary: the token of each id; the two special ones are not looked up.

    Returns:
      ``matrix``: float32 ``[V dim]``, zeros where there is no vector. ``found``: bool ``[V]``.

    Raises:
      ValueError: naming file and line: a missing or truncated file, a line with another number of values, a value that
        is no finite number, a word of the vocabulary that occurs twice, no word of the vocabulary at all; of tensors also
        where it is not plain which are meant.
    """
    path = Path(path)
    if tensors.named(path):
        return _of_tensors(path, vocabulary)
    wanted = {word.encode("utf-8", "surrogatepass"): i for i, word in enumerate(vocabulary) if i > UNKNOWN}
    matrix: np.ndarray | None = None
    found = np.zeros(len(vocabulary), bool)
    for place, word, values in _rows(path):
        if matrix is None:
            matrix = np.zeros((len(vocabulary), len(values.split(b" "))), np.float32)
        identity = wanted.get(word)
        if identity is None:
            continue
        if found[identity]:
            raise ValueError(f"{place}: the word {vocabulary[identity]!r} occurs twice")
        matrix[identity] = _numbers(values, place)
        found[identity] = True
    if matrix is None or not found.any():
        raise _no_words(path, vocabulary)
    return matrix, found


def _of_tensors(path: Path, vocabulary: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    tokens, stored = vector_tensors.load(path)
    rows = {token: row for row, token in enumerate(tokens)}
    chosen = [(i, rows[word]) for i, word in enumerate(vocabulary) if i > UNKNOWN and word in rows]
    if not chosen:
        raise _no_words(path, vocabulary)
    own, theirs = np.array(chosen).T
    matrix, found = np.zeros((len(vocabulary), stored.shape[1]), np.float32), np.zeros(len(vocabulary), bool)
    matrix[own], found[own] = stored[theirs].astype(np.float32), True
    if not np.isfinite(matrix).all():
        word = vocabulary[int(np.argmin(np.isfinite(matrix).all(axis=1)))]
        raise ValueError(f"{path}: a value of {quoted(word)} is not finite in float32")
    return matrix, found


def _no_words(path: Path, vocabulary: Sequence[str]) -> ValueError:
    count = len(vocabulary) - UNKNOWN - 1
    return ValueError(f"{path} holds a vector for none of the {count} words of the vocabulary")


def _rows(path: Path) -> Iterator[tuple[str, bytes, bytes]]:
    """Place, word and values of each line; every line has the same number of values."""
    rows, dim, number = None, None, 0
    with _open(path) as file:
        for number, raw in enumerate(_lines(file, path), start=1):
            line = raw.rstrip(b" \r\n")  # fastText ends its lines with a blank
            fields = line.split(b" ") if dim is None else []
            if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
                rows, dim = int(fields[0]), int(fields[1])
                continue
            place = f"{path}, line {number}"
            dim = len(fields) - 1 if dim is None else dim
            if dim < 1:
                raise ValueError(f"{place}: want 'word v1 v2 ...', got {line[:60]!r}")
            # From the right, since some words of GloVe hold blanks (". . .").
            word, *values = line.rsplit(b" ", dim)
            _, blank, rest = word.rpartition(b" ")
            if len(values) != dim or (blank and (not rest or _is_number(rest))):
                raise ValueError(f"{place}: want {dim} values after the word, got {line.count(b' ')}")
            yield place, word, line[len(word) + 1 :]
    if rows is not None and number - 1 != rows:
        raise ValueError(f"{path}: the header says {rows} vectors, the file holds {number - 1}")


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    if not regular(path).is_file():
        raise ValueError(f"no file of word vectors at {path}")
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")


def _lines(file: gzip.GzipFile | io.BufferedReader, path: Path) -> Iterator[bytes]:
    try:
        while line := file.readline(_LONGEST):
            if len(line) == _LONGEST:
                raise ValueError(f"{path} has a line of {_LONGEST >> 20} MiB or more, which is no vector")
            yield line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _numbers(values: bytes, place: str) -> np.ndarray:
    try:
        vector = np.array(values.split(b" "), dtype=np.float64)
    except ValueError:
        raise ValueError(f"{place}: a value is not a number in {values[:60]!r}") from None
    if not (np.abs(vector) <= np.finfo(np.float32).max).all():  # not so for NaN either
        raise ValueError(f"{place}: a value is not finite in float32")
    return vector.astype(np.float32)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
