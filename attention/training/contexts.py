"""What a language model makes of contexts longer than those of training: the same tokens, told with more and less before them.

Longer windows are easier by themselves, since fewer of their tokens stand near the beginning. So the same tokens are compared:
of windows of KT tokens, side by side through the split, the last T/2, where T is the length in training. They are told in the
last T tokens of the window alone, in the last 2T, and so on up to the whole; what more context is worth is the difference to
the first. Beside it stands the loss by place in the longest window. As ``result.json`` holds it::

  {"split": "test", "length": 128, "windows": 108, "of": 108, "tokens": 6912,
   "contexts": [{"context": 128, "undefined": false,
                 "nll": {"members": [1.61, 1.62], "mean": 1.615, "std": 0.007, "ci95": 0.064},
                 "difference": {"members": [0.0, 0.0], "mean": 0.0, "std": 0.0, "ci95": 0.0}}, ...],
   "by_place": {"context": 1024, "ranges": [{"above": 0, "up_to": 32, "members": [1.9, 1.91], "mean": 1.905, ...}, ...]}}

K is 8, or 4 or 2 where the split has fewer than ``FEWEST`` windows of that length. Windows are within documents where those of
training are. ``members`` has one entry per member, None for one that was never validated; mean, standard deviation and half
width of the 95 % Student-t interval are over the members. A context is undefined that the model has no positions for: nll and
difference are None.
"""

import dataclasses
import io
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention.data.contracts import ELSEWHERE, Encoded
from attention.files import write_atomic
from attention.metrics import summarize
from attention.text_table import table as text_table
from attention.training.cohort.devices import Spread
from attention.training.cohort.predict import predict
from attention.training.config import Config

TIMES = (1, 2, 4, 8)  # lengths of windows, in those of training
FEWEST = 16  # windows that a mean is taken over
READ = 2**19  # tokens that are read for a report, at most: its windows lie evenly in a long split
RANGES = 32  # of places
COMPARED = ("nll", "difference")


def measured(
    model: Any, params: Spread, encoded: Encoded, config: Config, known: Sequence[bool], *, split: str
) -> dict[str, Any] | None:
    """The report; None where rows are not cut from documents, and for a split that has too few windows of 2T.

    Args:
      model: the model.
      params: of its members, on their devices.
      encoded: a split, as it is evaluated.
      config: of the run.
      known: whether each member has been validated.
      split: its name.
    """
    length, half = config.data.max_length, config.data.max_length // 2
    if encoded.documents is None or not half:
        return None
    tokens, wanted = stream(encoded)
    bounds = encoded.documents[[0, -1]] if config.data.windows == "stream" else encoded.documents
    times, ends = longest(bounds, length)
    if not times:
        return None
    some = evenly(ends, max(FEWEST, READ // (length * sum(times))))
    limit = (model.longest_text or sys.maxsize) // 8 * 8  # what batches are padded to
    told = [k for k in times if k * length <= limit]  # the first among them: a model has positions for what it is trained on
    nll: dict[int, np.ndarray] = {}
    for k in told:
        asked = k * length if k == told[-1] else half
        rows = before(tokens, wanted, some, k * length, asked)
        nll[k] = _nll(model, params, rows, config, k)
    same = {k * length: nll[k][..., -half:] if k in nll else None for k in times}
    return {
        "split": split,
        "length": length,
        "windows": len(some),
        "of": len(ends),
        "tokens": len(some) * half,
        "contexts": compared(same, known),
        "by_place": by_place(nll[told[-1]], known),
    }


def stream(encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of documents end to end, and what each is to predict, whatever windows they are cut into."""
    assert encoded.wanted is not None
    assert encoded.documents is not None
    if encoded.documents[-1] == len(encoded.flat):
        return encoded.flat, encoded.wanted
    once = encoded.wanted != ELSEWHERE  # windows that overlap ask for each token once
    return encoded.flat[once], encoded.wanted[once]


def longest(bounds: np.ndarray, length: int) -> tuple[tuple[int, ...], np.ndarray]:
    """The times of ``length`` that windows may have, and where those of the last end, side by side between ``bounds``.

    Example:
      >>> longest(np.array([0, 700]), 10)
      ((1, 2, 4), array([ 40,  80, ..., 680]))
    """
    for k in TIMES[:0:-1]:
        size = k * length
        ends = np.concatenate([np.arange(a + size, b + 1, size) for a, b in itertools.pairwise(bounds.tolist())])
        if len(ends) >= FEWEST:
            return TIMES[: TIMES.index(k) + 1], ends
    return (), np.zeros(0, np.int64)


def evenly(ends: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, evenly spaced."""
    return ends if len(ends) <= most else ends[np.linspace(0, len(ends) - 1, most).round().astype(np.int64)]


def before(tokens: np.ndarray, wanted: np.ndarray, ends: np.ndarray, length: int, asked: int) -> Encoded:
    """Rows of the ``length`` tokens before ``ends``, each asked for its last ``asked`` tokens."""
    taken = ends[:, None] + np.arange(-length, 0)
    answers = np.where(np.arange(length) >= length - asked, wanted[taken], np.int32(ELSEWHERE))
    offsets = np.arange(len(ends) + 1, dtype=np.int64) * length
    return Encoded(tokens[taken].ravel(), offsets, np.full(len(ends), -1, np.int32), wanted=answers.ravel())


def _nll(model: Any, params: Spread, rows: Encoded, config: Config, times: int) -> np.ndarray:
    """The nats of all that is asked for, ``[M n K]``, in batches of no more tokens than those of training."""
    size = config.training.batch_size // config.training.accumulation
    training = dataclasses.replace(config.training, batch_size=max(1, size // times), accumulation=1)
    padded = -(-int(rows.lengths[0]) // 8) * 8
    found = predict(model, params, rows, dataclasses.replace(config, training=training), (padded,))
    return found["nll"][found["asked"]].reshape(*found["nll"].shape[:2], -1).astype(np.float64)


def compared(nll: Mapping[int, np.ndarray | None], known: Sequence[bool]) -> list[dict[str, Any]]:
    """For each context the mean nats of the members, and their difference to those of the first.

    Args:
      nll: by tokens of context, the nats ``[M n K]`` of the same tokens; None where they are undefined.
      known: whether each member has been validated.
    """
    first, rows = next(iter(nll.values())), []
    for context, own in nll.items():
        pair = (None, None) if own is None or first is None else (_over(own, known), _over(own - first, known))
        rows.append({"context": context, "undefined": own is None, **dict(zip(COMPARED, pair))})
    return rows


def by_place(nll: np.ndarray, known: Sequence[bool]) -> dict[str, Any]:
    """The mean nats of the members at the places of a window, in ranges, of ``[M n L]``."""
    length = nll.shape[-1]
    edges = sorted({round(length * k / RANGES) for k in range(RANGES + 1)})
    ranges = [
        {"above": above, "up_to": up_to, **_over(nll[..., above:up_to], known)} for above, up_to in itertools.pairwise(edges)
    ]
    return {"context": length, "ranges": ranges}


def _over(nll: np.ndarray, known: Sequence[bool]) -> dict[str, Any]:
    """The mean of each member that is known, and over these."""
    return summed([float(member.mean()) if there else None for member, there in zip(nll, known)])


def summed(members: Sequence[float | None]) -> dict[str, Any]:
    """The members and ``summarize`` of those that are known."""
    values = [value for value in members if value is not None]
    return {"members": list(members), **(summarize(values) if values else dict.fromkeys(("mean", "std", "ci95")))}


def of_member(found: Mapping[str, Any], member: int) -> dict[str, Any]:
    """The report of one member alone."""
    own = lambda each: each and {**each, **summed([each["members"][member]])}
    contexts = [{**row, **{name: own(row[name]) for name in COMPARED}} for row in found["contexts"]]
    ranges = [own(row) for row in found["by_place"]["ranges"]]
    return {**found, "contexts": contexts, "by_place": {**found["by_place"], "ranges": ranges}}


def worth(found: Mapping[str, Any], member: int) -> float | None:
    """The difference of a member at the longest context; None where it is undefined for it."""
    last = found["contexts"][-1]["difference"]
    return None if last is None else last["members"][member]


def table(found: Mapping[str, Any]) -> str:
    """A report as lines of text: a row per context, means over the members and their intervals."""
    rows = [("context", "nll", "", "difference", "")]
    for row in found["contexts"]:
        rows.append((str(row["context"]), *_cells(row["nll"]), *_cells(row["difference"])))
    members = len(found["contexts"][0]["nll"]["members"])
    over = f"; mean of {members} members and its 95 % Student-t interval" if members > 1 else ""
    some = "" if found["windows"] == found["of"] else f", in {found['windows']} of {found['of']} windows"
    what = f"the same {found['tokens']} tokens of {found['split']}{some} by context, trained with {found['length']}"
    return "\n".join([f"{what}{over}", text_table(rows, left=0)])


def _cells(summary: Mapping[str, Any] | None) -> tuple[str, str]:
    if summary is None:
        return "undefined", ""
    mean, half = summary["mean"], summary["ci95"]
    return "-" if mean is None else f"{mean:.4f}", "" if half is None else f"±{half:.4f}"


def plot(found: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Draws a report as a picture, in the format of the path's suffix: differences by context, and the loss by place.

    Args:
      found: the report.
      path: where; written aside and renamed.
      title: a line above.
    """
    from matplotlib.figure import Figure  # here, because it takes a quarter of a second

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    contexts = [row["context"] for row in found["contexts"]]
    left.axhline(0, color="0.7", linewidth=0.8)
    _curve(left, contexts, [row["difference"] for row in found["contexts"]])
    for row in found["contexts"]:
        if row["undefined"]:
            left.text(row["context"], 0, "undefined", rotation=90, ha="center", va="center", color="0.4", fontsize=8)
    left.set_xscale("log", base=2)
    left.set_xticks(contexts, list(map(str, contexts)))
    left.set_xlim(contexts[0] / 1.2, contexts[-1] * 1.2)
    left.set(xlabel="tokens of context", ylabel=f"nats per token less those with {found['length']}")
    left.set_title(f"the same {found['tokens']} tokens of {found['split']}", fontsize="medium")
    ranges = found["by_place"]["ranges"]
    _curve(right, [(row["above"] + 1 + row["up_to"]) / 2 for row in ranges], ranges)
    right.axvline(found["length"] + 0.5, color="0.3", linewidth=0.8, linestyle="--")
    right.set_xlim(0, found["by_place"]["context"] + 1)
    count = len(ranges[0]["members"])
    over = f"{count} members, mean and 95 % interval" if count > 1 else "1 member"
    right.set(xlabel="place in the window (dashed: length in training)", ylabel="nats per token")
    right.set_title(f"loss by place: {over}", fontsize="medium")
    figure.suptitle(title, fontsize="medium")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=150)
    write_atomic(path, drawn.getvalue())


def _curve(axes: Any, x: Sequence[float], rows: Sequence[Mapping[str, Any] | None]) -> None:
    """Members, their mean and its interval; what is None is not drawn."""
    column = lambda name: np.array([row and row[name] for row in rows], np.float64)  # None becomes NaN
    mean, half = column("mean"), column("ci95")
    count = max(len(row["members"]) for row in rows if row)
    if count > 1:
        members = np.array([row["members"] if row else [None] * count for row in rows], np.float64)
        axes.plot(x, members, color="C0", linewidth=0.5, alpha=0.5)
        axes.fill_between(x, mean - half, mean + half, color="C0", alpha=0.2, linewidth=0)
    axes.plot(x, mean, color="C0", marker="o", markersize=4)
