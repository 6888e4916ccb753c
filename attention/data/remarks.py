"""What to know of texts before numbers about them are believed: how much is unknown, cut off, or was seen in training."""

from collections.abc import Callable, Mapping

import numpy as np

from attention.data.contracts import ELSEWHERE, UNKNOWN, Encoded, counted
from attention.data.repeats import LONG

MUCH_UNKNOWN = 0.1  # share of the tokens above which it is said
MUCH_TRUNCATED = 0.2  # share of the texts above which it is said
IN_TRAIN, IN_VALIDATION = 1, 2  # where else a text is, added up

Facts = dict[str, float | int]


def statistics(encoded: Encoded, elsewhere: np.ndarray | None = None, *, name: str = "") -> Facts:
    """What is counted of a split, as ``Dataset.statistics`` holds it.

    Args:
      encoded: its tokens.
      elsewhere: ``[n]``, where else each text is: ``IN_TRAIN``, ``IN_VALIDATION``, both or 0; None where that is not known.
      name: of the split; in train no text is sought elsewhere, in validation only those of test are.
    """
    tokens, offsets = _examples(encoded)
    lengths, unknown = np.diff(offsets), counted(tokens, offsets, lambda ids: ids == UNKNOWN)
    truncated = 0 if encoded.truncated is None else int(encoded.truncated.sum())
    if elsewhere is not None and len(elsewhere) != len(lengths):  # blocks of documents, of which one is elsewhere as a whole
        elsewhere = np.bitwise_and.reduce(elsewhere)[None] if len(lengths) == 1 else None
    measured: Facts = {
        "examples": len(lengths),
        "mean_length": float(lengths.mean()),
        "max_length": int(lengths.max()),
        "unknown_rate": int(unknown.sum()) / int(lengths.sum()),
        "unknown_texts": int((unknown == lengths).sum()),
        "truncated_share": truncated / len(lengths),
    }
    if encoded.word_counts is not None and encoded.wanted is not None:
        measured["words"] = int((encoded.wanted != ELSEWHERE).sum())
        measured["cut_words"] = int(encoded.word_counts.sum()) - int(measured["words"])
    if encoded.unseen is not None and encoded.wanted is not None:
        measured["unseen_words"] = int(encoded.unseen[encoded.wanted != ELSEWHERE].sum())
    if elsewhere is not None and name != "train":
        measured["seen_in_train"] = int((elsewhere & IN_TRAIN > 0).sum())
    if elsewhere is not None and name == "test":
        measured["seen_in_train_or_validation"] = int((elsewhere > 0).sum())
    return measured


def _examples(encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of all texts and where each begins, however they are cut into windows."""
    if encoded.documents is None or encoded.documents is encoded.offsets or encoded.wanted is None:
        return encoded.flat, encoded.offsets
    return encoded.wanted[encoded.wanted != ELSEWHERE], encoded.documents


def notes(known: Mapping[str, Facts]) -> list[str]:
    """Lines for the user on splits or files, by their names, with the flag that helps."""
    much = lambda field, most, what: _said(known, lambda facts: f"{_percent(facts[field])} of the {what}", field, most)
    some = lambda field, among=known: _said(among, lambda facts: f"{facts[field]} of {facts['examples']} texts", field, 0)
    of_words = lambda facts: f"{facts['cut_words']:,} of {facts['words'] + facts['cut_words']:,} words"
    narrow = {name: facts for name, facts in known.items() if "seen_in_train_or_validation" not in facts}
    said = {
        "are unknown to the tokenizer: other texts than it learned, or one that is not for their language;"
        " --config.data.tokenizer=bytes or bpe knows every text": much("unknown_rate", MUCH_UNKNOWN, "tokens"),
        "hold nothing but unknown tokens: what is said of them is a guess": some("unknown_texts"),
        "are longer than config.data.max_length and lose the rest: --config.data.max_length=N keeps more": much(
            "truncated_share", MUCH_TRUNCATED, "texts"
        ),
        f"of {LONG} characters or more are also in train: a score on them is partly one of memory": _said(
            known, lambda facts: f"{facts['lines_in_train']} of {facts['lines']} lines", "lines_in_train", 0
        ),
        "are cut off by config.data.max_length, neither learned nor scored: --config.data.max_length=N keeps more": _said(
            known, of_words, "cut_words", 0
        ),
        "are also in train: a score on them is partly one of memory": some("seen_in_train", narrow),
        "are also in train or validation: a score on them is partly one of memory": some("seen_in_train_or_validation"),
    }
    return [f"{of_what} {what}" for what, of_what in said.items() if of_what]


def _said(known: Mapping[str, Facts], amount: Callable[[Facts], str], field: str, most: float) -> str:
    """``40 % of the tokens of train, 41 % of the tokens of test``: of the splits where the field is above ``most``."""
    return ", ".join(f"{amount(facts)} of {name}" for name, facts in known.items() if facts.get(field, 0) > most)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
