"""A language model goes on with a text: what ``eval.py --text`` prints of one, as it is written."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from attention import sampling, specs
from attention.data.contracts import UNKNOWN
from attention.evaluation import export
from attention.evaluation.trained import Trained, load
from attention.messages import plain, shown
from attention.runs.directory import RunDirectory

DECODED = 64  # tokens at the end of a text that are decoded anew with each one


class Options(NamedTuple):
    """How a text goes on: ``tokens`` at most, in so many ``samples``, drawn as ``sampling.log_odds`` has it."""

    tokens: int = 200
    samples: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


def is_writer(workdir: str) -> bool:
    """Whether a folder holds a run that goes on with texts; False also where it holds none, which is said elsewhere."""
    try:
        task = json.loads(RunDirectory(workdir).config.read_text())["task"]
        return bool(specs.build("task", task).next_token)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def write(
    workdir: str, texts: Sequence[str], options: Options, *, member: int | None = None, show: Callable[[str], Any]
) -> None:
    """Goes on with each text, ``samples`` times, and shows what is written as it comes; of several samples the whole.

    Args:
      workdir: the directory of a run of a language model.
      texts: what to go on with; "" for the beginning of a text.
      options: how.
      member: the seed of the one that writes; the best on validation where None.
      show: takes what is to be printed, without a line break at its end.

    Raises:
      ValueError: for a run that does not write, or options out of range.
    """
    given = options._asdict()
    drawn: dict[str, Any] = {"count": given.pop("tokens"), **given}
    sampling.check_options(**drawn, called=lambda name: f"--{'tokens' if name == 'count' else name}")
    trained = load(workdir)
    chosen = export.chosen(trained, member)
    end = trained.data.vocab_size - 1
    window, rng = trained.settings.data.max_length, jax.random.key(trained.settings.data.seed)  # as in evaluation
    for text in texts:
        prompt = _prompt(trained, text)
        for note in _notes(trained, prompt, options):
            show(f"note: {note}\n")
        tokens = sampling.continued(trained.model, chosen.weights, prompt, **drawn, window=window, end=end, rng=rng)
        if options.samples == 1:
            show(_said(text))
            for piece in _pieces(trained, text, prompt, (int(ids[0]) for ids in tokens)):
                show(_said(piece))
            show("\n")
            continue
        for number, ids in enumerate(np.stack(list(tokens), axis=1).tolist(), 1):
            written = "".join(_pieces(trained, text, prompt, ids))
            show(f"---- {number} of {options.samples}\n{_said(text + written)}\n")


def _said(text: str) -> str:
    """A text as it is printed, with its line breaks."""
    return "\n".join(map(plain, text.split("\n")))


def _prompt(trained: Trained, text: str) -> np.ndarray:
    """The ids of a text; where texts were documents, after the one that begins each."""
    ids = trained.tokenizer.encode(trained.tokenizer_state, [text])[0] if text else np.zeros(0, np.int32)
    begins = np.array([trained.data.vocab_size - 1] if trained.documents else [], np.int32)
    prompt = np.concatenate([begins, ids]).astype(np.int32)
    if not len(prompt):
        raise ValueError(f"--text={shown(text)} has no tokens to go on from")
    return prompt


def _notes(trained: Trained, prompt: np.ndarray, options: Options) -> Iterator[str]:
    if unknown := int((prompt == UNKNOWN).sum()):
        yield f"{unknown} tokens of the text are unknown to the run"
    if slides := sampling.sliding(trained.model, len(prompt), options.tokens, trained.settings.data.max_length):
        yield slides


def _pieces(trained: Trained, text: str, prompt: np.ndarray, ids: Iterable[int]) -> Iterator[str]:
    """What is written behind a text, piece by piece, until the id that ends it; a sign of several ids comes when it is whole.

    The ids of both are decoded together: what stands between words stands behind the text, too, if it does not end in a blank.
    """
    end = trained.data.vocab_size - 1
    decode = lambda: trained.tokenizer.decode(trained.tokenizer_state, recent)
    recent = [token for token in prompt[-DECODED // 2 :].tolist() if token != end]
    before = decode()
    if text[-1:].isspace() and not before[-1:].isspace():
        before += " "
    for token in ids:
        if token == end:
            break
        recent.append(token)
        whole = decode()
        if whole.endswith("\N{REPLACEMENT CHARACTER}"):
            continue
        yield _beyond(before, whole)
        if len(recent) >= DECODED:
            recent = recent[-DECODED // 2 :]
            whole = decode()
        before = whole
    if rest := _beyond(before, decode()):
        yield rest


def _beyond(before: str, whole: str) -> str:
    """What a text has behind what it shares with one from the beginning."""
    alike = (a == b for a, b in zip(before, whole))
    return whole[sum(itertools.takewhile(bool, alike)) :]
