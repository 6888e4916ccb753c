"""What data are: where texts come from, how they become token ids, and what is handed to training and evaluation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from attention.data.tables import Table

PADDING, UNKNOWN = 0, 1  # token ids that mean the same in every tokenizer
NOTHING = "_"  # where a word of a text has no answer
ELSEWHERE, OPEN = -1, -2  # in place of what is wanted at a token: nothing is asked there, or it is not known what is right
_AT_ONCE = 2**22  # tokens
LENGTHS = "lengths"  # the split whose texts go on in length where those of training end; it is never truncated


class Scale(NamedTuple):
    """Mean and standard deviation of the numbers of train, by which those of every split are made alike in size."""

    mean: float
    deviation: float


class Split(NamedTuple):
    """Texts and the index of each one's class; ``labels`` is None where a split has none.

    Where a text has any number of classes ``labels`` are 0 and 1, ``[n C]``; where it has a number they are floats.

    ``targets`` are the texts to be written of them, where that is what there is to learn. ``wanted`` says what is right at
    each word of a text, a word for each, joined by single blanks as the text's own are: tokens, ``NOTHING`` where nothing is
    asked; or names of classes, where there are such, ``NOTHING`` where it is not known. ``begins``, bool ``[n]``, tells blocks
    of one long text from texts: whether each begins one; all do where it is None. ``ends`` says whether the last text ends with
    the split, or goes on beyond it.
    """

    texts: Sequence[str]
    labels: np.ndarray | None
    targets: Sequence[str] | None = None
    wanted: Sequence[str] | None = None
    begins: np.ndarray | None = None
    ends: bool = True


class Corpus(NamedTuple):
    """What a source loads.

    Attributes:
      splits: "train", "validation" and, where there are such, "test" and ``LENGTHS``.
      classes: the class names, in the order of the labels; none where there are targets or numbers.
      notes: lines for the user, for example that validation was carved off train.
      resolved: the source's spec with every path absolute, so that it means the same from another folder.
      trained_length: the greatest length of train, in symbols with blanks between them; None where there is no ``LENGTHS``.
      files: what was read and others may change; none for what is generated, or was checked against a hash of its own.
    """

    splits: dict[str, Split]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    resolved: str
    trained_length: int | None = None
    files: tuple[Path, ...] = ()


class Rule(NamedTuple):
    """A trivial rule, which a model has to beat. What it learns of train answers the texts of any split or file.

    Hooks:
      fit(train) -> what it learns: a number for each of some words, which JSON can hold.
      answer(learned, texts) -> for each text the index of its class, -1 for none; the indices of its classes; its number; or
        the text to be written.
      score(answers, right) -> how good they are, as the first metric of a task of such answers; by default the share of the
        right ones.
    """

    name: str
    fit: Callable[[Split], dict[str, float]]
    answer: Callable[[Mapping[str, float], Sequence[str]], Sequence[Any]]
    score: Callable[[Sequence[Any], Sequence[Any]], float] | None = None


class Source(NamedTuple):
    """Where labelled texts come from.

    Hooks:
      load(seed) -> Corpus; ``seed`` (``config.data.seed``) decides what is generated or carved off.
      read(files) -> the texts of files in a format of its own, with what is right of them; None for those of ``tables``.
      files() -> what ``load`` reads, and the folders in which it looks, on which alone what it loads depends; None where that
        is not known beforehand.

    Attributes:
      rules: what a model of these texts has to beat.
      resolved: of one that reads files, its spec as ``Corpus.resolved`` has it, known before anything is read.
    """

    load: Callable[[int], Corpus]
    rules: tuple[Rule, ...] = ()
    resolved: str = ""
    read: Callable[[Sequence[Path]], "Table | None"] | None = None
    files: Callable[[], Sequence[Path]] | None = None

    kind = "source"


class Tokenizer(NamedTuple):
    """How text becomes token ids: 0 is padding, 1 is unknown.

    Hooks:
      train(texts) -> state: learns from the training split; ``state`` is a plain Python object.
      encode(state, texts) -> one int32 array per text.
      decode(state, ids) -> text.
      size(state) -> number of ids.
      save(state, folder): writes the state as text or JSON, never pickle.
      load(folder) -> state.
      vocabulary(state) -> the token string of each id.
      packaged(state) -> a ``tokenizers.Tokenizer``, of the package of that name, that gives the same ids, for processes
        without this one. None where that package has none like it.
      pieces(text) -> its tokens as strings, where the state is a dictionary from these to ids, and every other is unknown;
        None where it is none.
      parts(text) -> parts of it whose ``pieces`` one after the other are its own, most of which occur often; None without
        those.
      learn(counts) -> state, of how often each of ``pieces`` is in the training split: what ``train`` learns.

    Attributes:
      in_order: whether the ids of a text stand in the order of the text.
    """

    train: Callable[[Sequence[str]], Any]
    encode: Callable[[Any, Sequence[str]], list[np.ndarray]]
    decode: Callable[[Any, Sequence[int]], str]
    size: Callable[[Any], int]
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]
    vocabulary: Callable[[Any], Sequence[str]]
    packaged: Callable[[Any], Any] | None = None
    pieces: Callable[[str], Sequence[str]] | None = None
    parts: Callable[[str], Sequence[str]] | None = None
    learn: Callable[[Mapping[str, int]], Any] | None = None
    in_order: bool = True
    spec: str = ""

    kind = "tokenizer"

    def __reduce__(self) -> Any:
        from attention.specs import by_spec  # here, because chains of imports are short

        return by_spec(self)


class Spelling(NamedTuple):
    """The characters of words, each distinct word once.

    Attributes:
      characters: int32 ``[V C]``, as ``characters.spelled`` makes them.
      rows: int32 ``[total]``, which of them the word of each token has.
    """

    characters: np.ndarray
    rows: np.ndarray


def counted(flat: np.ndarray, offsets: np.ndarray, marks: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """How many tokens of each example ``marks`` finds, int64 ``[n]``; of ids on disk only some are read at once."""
    before, found = 0, np.empty(len(offsets), np.int64)
    for start in range(0, int(offsets[-1]) + 1, _AT_ONCE):
        counts = np.concatenate([[0], np.cumsum(marks(flat[start : start + _AT_ONCE]))])
        here = slice(*np.searchsorted(offsets, [start, start + _AT_ONCE]))
        found[here] = before + counts[offsets[here] - start]
        before += counts[-1]
    return np.diff(found)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """The token ids of a split, end to end.

    Attributes:
      flat: int32 ``[total]``, the ids of all examples; of many, whole numbers of fewer bits, on disk.
      offsets: int64 ``[n + 1]``; example i is ``flat[offsets[i]:offsets[i + 1]]``.
      labels: int32 ``[n]``, -1 where the split has none; of texts with any number of classes int8 ``[n C]``, 0 and 1; of texts
        with a number float64 ``[n]``, in the units of the data.
      scale: of the numbers, None where there are none.
      segments: int32 ``[total]``, the segment of each token, counted from 0 in each example; None where texts are not cut.
      positions: int32 ``[total]``, the position of each token, where it is not its index in the example.
      targets: the ids of the texts to write, each with the id that ends it; None where classes are to be told.
      truncated: bool ``[n]``, whether a text had more tokens; None where none was cut.
      wanted: int32 ``[total]``, the class or the token that is right at each token, ``ELSEWHERE`` where nothing is asked and
        ``OPEN`` where it is not known; None where what is right is said of whole examples.
      classes: the names of the classes that ``wanted`` holds; none where it holds tokens.
      words: int32 ``[total]``, the word of its text that each token is of, counted from 0, where there are classes of words.
      word_counts: int32 ``[n]``, the words of each text, those that are cut off among them.
      spelling: of the words, where their characters are kept.
      unseen: bool ``[total]``, whether the word of a token is spelled as none of train is; None where that is not known.
      slack: how many tokens later than ``offsets`` say the examples may begin, all alike; ``flat`` has as many more.
      documents: int64 ``[d + 1]``, of rows cut from documents: where each begins among all tokens that are asked for, which
        are in the order of the text.
      bytes: UTF-8 bytes of the documents, not of line breaks between them, where their tokens give them back; else None.
      lost: why not, as in "3 tokens are unknown".
    """

    flat: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    segments: np.ndarray | None = None
    positions: np.ndarray | None = None
    targets: "Encoded | None" = None
    truncated: np.ndarray | None = None
    wanted: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    words: np.ndarray | None = None
    word_counts: np.ndarray | None = None
    spelling: Spelling | None = None
    unseen: np.ndarray | None = None
    slack: int = 0
    documents: np.ndarray | None = None
    bytes: int | None = None
    lost: str = ""
    scale: Scale | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, int64 ``[n]``."""
        return np.diff(self.offsets)

    @property
    def extents(self) -> np.ndarray:
        """Tokens of each example or of its target, whichever has more, int64 ``[n]``: what it is padded by."""
        return self.lengths if self.targets is None else np.maximum(self.lengths, self.targets.lengths)

    @functools.cached_property
    def asked(self) -> np.ndarray:
        """In how many places of each example something is asked, int64 ``[n]``."""
        assert self.wanted is not None
        return counted(self.wanted, self.offsets, lambda wanted: wanted != ELSEWHERE)

    def only(self, chosen: np.ndarray) -> "Encoded":
        """The examples that ``chosen``, bool ``[n]``, marks; of rows cut from documents, without these."""
        tokens = np.repeat(chosen, self.lengths)
        tokens = np.concatenate([tokens, np.zeros(len(self.flat) - len(tokens), bool)]) if self.slack else tokens
        taken = lambda array, kept: None if array is None else array[kept]
        return Encoded(
            self.flat[tokens],
            np.concatenate([[0], np.cumsum(self.lengths[chosen])]),
            self.labels[chosen],
            taken(self.segments, tokens),
            taken(self.positions, tokens),
            None if self.targets is None else self.targets.only(chosen),
            taken(self.truncated, chosen),
            taken(self.wanted, tokens),
            classes=self.classes,
            words=taken(self.words, tokens),
            word_counts=taken(self.word_counts, chosen),
            spelling=None if self.spelling is None else self.spelling._replace(rows=self.spelling.rows[tokens]),
            unseen=taken(self.unseen, tokens),
            scale=self.scale,
        )


class Dataset(NamedTuple):
    """Everything training and evaluation need of the data.

    Attributes:
      splits: "train", "validation" and, where there are such, "test" and ``LENGTHS``.
      tokenizer: the tokenizer's record.
      tokenizer_state: what it learned.
      vocab_size: number of ids; where there are targets, with the last, which ends them.
      classes: class names, in the order of the labels.
      rules: what each trivial rule has learned of train, by its name.
      baselines: score of each rule on each split of which it is known what is right, by the metric of its task for rules.
      notes: lines for the user; ``remarks.notes`` has those on the statistics.
      hashes: content hash of each split, over texts and labels.
      tokens: where tokens are told, ``token_hash`` of each split but train: equal where a mean over tokens can be compared.
      source: the source's spec with absolute paths.
      statistics: for each split ``examples``, ``mean_length``, ``max_length`` (after truncation), ``unknown_rate``
        (among the tokens kept), ``truncated_share`` (of the examples) and, beside train, ``seen_in_train`` (a count of
        texts); for test also ``seen_in_train_or_validation``, which a carve-off from train leaves as it was; of parts of
        a stream ``lines`` that are not short and ``lines_in_train``; of train, where there are numbers, those of ``Scale``;
        of documents, the rows that these are cut into, ``windows``, and how many of them have their end there, ``ends``.
      seen: for each split but train bool ``[n]``, whether a text is also in train, or, of test, in validation.
      texts: the texts of each split.
      targets: the texts to be written of each split that has them.
      wanted: what is right at the words of each split that says it, as in ``Split``.
      trained_length: as in ``Corpus``; None where texts are read as documents, which have no lengths.
      files: as in ``Corpus``.
    """

    splits: dict[str, Encoded]
    tokenizer: Tokenizer
    tokenizer_state: Any
    vocab_size: int
    classes: tuple[str, ...]
    rules: dict[str, dict[str, float]]
    baselines: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    hashes: dict[str, str]
    tokens: dict[str, str]
    source: str
    statistics: dict[str, dict[str, float | int]]
    seen: dict[str, np.ndarray]
    texts: dict[str, Sequence[str]]
    targets: dict[str, Sequence[str]]
    wanted: dict[str, Sequence[str]]
    trained_length: int | None
    files: tuple[Path, ...]
