"""Accuracy by length: of a split, and up to lengths that training had none of where a source has such texts.

The report of the latter, as ``result.json`` holds it::

  {"trained_length": 40,
   "of_words": False,
   "ranges": [{"above": 0, "up_to": 20, "count": 190, "undefined": false,
               "accuracy": [0.99, 0.98], "mean": 0.985, "std": 0.007, "ci95": 0.064}, ...]}

Lengths are symbols of the text with blanks between them, whatever the tokenizer makes of it. A text that is answered word by
word counts with the share of words that are right where its task is scored by these (``of_words``), and where all are right
otherwise.
``accuracy`` has one entry per member, None for one that was never validated; mean, standard deviation and the half width of the
95 % Student-t interval are over the members. A range is undefined where the model has no positions for one of its texts: its
accuracy is None.
"""

import io
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention import specs
from attention.data.contracts import LENGTHS, Dataset
from attention.files import write_atomic
from attention.metrics import summarize
from attention.text_table import table as text_table
from attention.training.cohort.devices import Spread
from attention.training.cohort.predict import of_members, predict
from attention.training.config import Config

WITHIN, BEYOND = 2, 8  # ranges up to the trained length, and from there to the longest text


def edges(trained: int, longest: int) -> tuple[int, ...]:
    """The upper ends of the ranges; where ``longest`` is five times ``trained``, each is half as wide as ``trained``.

    Example:
      >>> edges(40, 200)
      (20, 40, 60, 80, 100, 120, 140, 160, 180, 200)
    """
    within = {-(-trained * k // WITHIN) for k in range(1, WITHIN + 1)}
    beyond = {trained - (trained - longest) * k // BEYOND for k in range(1, BEYOND + 1) if longest > trained}
    return tuple(sorted(within | beyond))


def measured(
    model: Any, params: Spread, data: Dataset, config: Config, bucket_lengths: Sequence[int], known: Sequence[bool]
) -> dict[str, Any] | None:
    """The report of each member on the texts of ``LENGTHS``; None where the source has no such texts.

    Args:
      model: the model.
      params: of its members, on their devices.
      data: what the run is tested on.
      config: of the run.
      bucket_lengths: the padded lengths of training.
      known: whether each member has been validated.
    """
    if data.trained_length is None:
        return None
    task, encoded = specs.build("task", config.task), data.splits[LENGTHS]
    defined = encoded.lengths <= (model.longest_text or sys.maxsize)
    correct, of_words = np.zeros((len(known), len(encoded))), False
    if defined.any():
        some = encoded.only(defined)
        members = of_members(predict(model, params, some, config, bucket_lengths))
        said = [task.predictions(member, some) for member in members]
        correct[:, defined], of_words = [shares(each) for each in said], "share" in said[0]
    lengths = np.array([len(text.split()) for text in data.texts[LENGTHS]])
    found = report(correct, lengths, defined, trained_length=data.trained_length, known=known)
    return {**found, "of_words": of_words}


def shares(said: Mapping[str, np.ndarray]) -> np.ndarray:
    """How much of each example is right, ``[n]``: of many words what ``Task.predictions`` says, else all or nothing."""
    return said.get("share", said["correct"])


def report(
    correct: np.ndarray, lengths: np.ndarray, defined: np.ndarray, *, trained_length: int, known: Sequence[bool]
) -> dict[str, Any]:
    """The report.

    Args:
      correct: ``[M n]``, whether a member is right, or how much is; any value where a text is not defined.
      lengths: ``[n]`` integers of 1 or more.
      defined: bool ``[n]``, whether the model has positions for a text.
      trained_length: the greatest length in training.
      known: whether each member has been validated.

    Returns:
      As above.
    """
    ends = edges(trained_length, int(lengths.max()))
    return {"trained_length": trained_length, "ranges": ranges(correct, lengths, ends, defined=defined, known=known)}


def ranges(
    correct: np.ndarray,
    lengths: np.ndarray,
    ends: Sequence[int],
    *,
    defined: np.ndarray | None = None,
    known: Sequence[bool] | None = None,
) -> list[dict[str, Any]]:
    """The rows of a report; ranges without a text are left out.

    Args:
      correct, lengths, defined, known: as of ``report``; by default all texts are defined and all members known.
      ends: the upper ends of the ranges; longer texts are in one more range.
    """
    defined = np.ones(len(lengths), bool) if defined is None else defined
    rows = []
    for above, up_to in itertools.pairwise((0, *sorted({*map(int, ends), max(*map(int, ends), int(lengths.max()))}))):
        inside = (lengths > above) & (lengths <= up_to)
        if not inside.any():
            continue
        whole = bool(defined[inside].all())
        members = zip(correct, known or [True] * len(correct))
        scores = [float(member[inside].mean()) if whole and there else None for member, there in members]
        values = [score for score in scores if score is not None]
        summary = summarize(values) if values else {"mean": None, "std": None, "ci95": None}
        row = {"above": above, "up_to": up_to, "count": int(inside.sum()), "undefined": not whole, "accuracy": scores}
        rows.append({**row, **summary})
    return rows


def beyond(found: Mapping[str, Any], member: int) -> float | None:
    """The accuracy of a member on all texts longer than those of training; None where one of them is undefined for it."""
    ranges = [row for row in found["ranges"] if row["above"] >= found["trained_length"]]
    scores = [row["accuracy"][member] for row in ranges]
    if not ranges or any(score is None for score in scores):
        return None
    return sum(row["count"] * score for row, score in zip(ranges, scores)) / sum(row["count"] for row in ranges)


def table(found: Mapping[str, Any]) -> str:
    """A report as lines of text: a row per range, the mean over the members in percent and its interval.

    One without ``trained_length`` is of a split, whose lengths are counted in tokens.
    """
    rows = [("length", "texts", "accuracy", "")]
    for row in found["ranges"]:
        mean, half = row["mean"], row["ci95"]
        accuracy = "undefined" if row["undefined"] else "-" if mean is None else f"{100 * mean:.2f}"
        spread = "" if half is None else f"±{100 * half:.2f}"
        rows.append((f"{row['above'] + 1}-{row['up_to']}", str(row["count"]), accuracy, spread))
    trained = found.get("trained_length")
    whole = "accuracy of whole texts" if trained is None else "accuracy"
    share = "share of the words of a text that are right" if found.get("of_words") else whole
    what = f"{share} by length{' in tokens' if trained is None else f', trained up to {trained}'}"
    members = len(found["ranges"][0]["accuracy"])
    over = f"; mean of {members} members and its 95 % Student-t interval" if members > 1 else ""
    return "\n".join([f"{what}{over}", text_table(rows, left=0)])


def plot(found: Mapping[str, Any], path: Path, *, title: str, baselines: Mapping[str, float]) -> None:
    """Draws the report as a picture, in the format of the path's suffix.

    Args:
      found: the report.
      path: where; written aside and renamed.
      title: a line above.
      baselines: accuracies on texts of the trained lengths, drawn up to there.
    """
    from matplotlib.figure import Figure  # here, because it takes a quarter of a second

    ranges, trained = found["ranges"], found["trained_length"]
    centre = np.array([(row["above"] + 1 + row["up_to"]) / 2 for row in ranges])
    accuracy = np.array([row["accuracy"] for row in ranges], np.float64).T  # None becomes NaN, which is not drawn
    mean, half = (np.array([row[name] for row in ranges], np.float64) for name in ("mean", "ci95"))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, (name, value) in enumerate(baselines.items(), 1):
        axes.plot([0, trained], [value, value], color=f"C{number}", linewidth=1, linestyle=":", label=f"{name} {value:.3f}")
    if len(accuracy) > 1:
        axes.plot(centre, accuracy.T, color="C0", linewidth=0.5, alpha=0.5)
        axes.fill_between(centre, mean - half, mean + half, color="C0", alpha=0.2, linewidth=0)
    axes.plot(centre, mean, color="C0", marker="o", markersize=4)
    axes.axvline(trained + 0.5, color="0.3", linewidth=0.8, linestyle="--")
    for row in ranges:
        if row["undefined"]:
            axes.axvspan(row["above"] + 0.5, row["up_to"] + 0.5, color="0.85", linewidth=0)
            place = (row["above"] + row["up_to"] + 1) / 2
            axes.text(place, 0.5, "undefined", rotation=90, ha="center", va="center", color="0.4", fontsize=8)
    members = f"{len(accuracy)} members, mean and 95 % interval" if len(accuracy) > 1 else "1 member"
    axes.set(title=title, xlabel=f"length (dashed: longest in training; {members})", ylabel="accuracy", ylim=(0, 1.02))
    axes.set_xlim(0, ranges[-1]["up_to"] + 1)
    if baselines:
        axes.legend(title="baselines", loc="lower left", fontsize=7, title_fontsize=7)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=150)
    write_atomic(path, drawn.getvalue())
