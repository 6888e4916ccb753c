"""Minimal pairs: which of two texts a language model finds likelier, the one that is right or the one that is wrong.

A pair is told right where all of the tokens of the right text, with its end where texts of train end, are together likelier
than those of the wrong one; of equals half counts (Warstadt et al. 2020, BLiMP, arXiv 1912.00582). Texts compare by all of
their tokens, so that the longer one is rarely the likelier: pairs want texts that differ in little.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attention.data import remarks, tables, unpacking
from attention.data.segments import parted
from attention.evaluation import out_file, overlap
from attention.evaluation.trained import ENDLESS, Trained, load
from attention.files import write_atomic
from attention.messages import one_line, shown
from attention.metrics import summarize

COLUMNS = ("good", "bad")


class Told(NamedTuple):
    """The nats of texts by each member, ``[M n]``, and what is to be known of their tokens."""

    nats: np.ndarray
    facts: remarks.Facts


def report(workdir: str, path: str, *, columns: Sequence[str] = (), out: str | None = None) -> str:
    """The share of pairs that each member tells right.

    Args:
      workdir: the directory of a run of a language model.
      path: of a table with a pair in each row.
      columns: of the right texts and of the wrong ones, ``COLUMNS`` where not given; numbers, counted from 0, where the file
        has no names for them.
      out: a table to write the nats of both to.

    Returns:
      What to print.

    Raises:
      ValueError: for a run of another kind, a file without such columns, or an empty text.
    """
    names = tuple(columns) or COLUMNS
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"--pairs wants the columns of right and of wrong texts, --columns=GOOD,BAD; got {','.join(names)}")
    target = out_file.checked(out)
    trained = load(workdir)
    if not (trained.task.next_token and trained.documents):
        raise ValueError(f"--pairs compares texts by a language model of whole texts; {shown(workdir)} is none")
    files = tables.named(path)
    out_file.check_spared(target, [*overlap.files(trained), *map(unpacking.archive, files)])
    if not files:
        raise ValueError(f"--pairs={shown(path)} wants the path of a table, with the columns {names[0]} and {names[1]}")
    good, bad = _read(files, names)
    told = {name: _told(trained, texts) for name, texts in zip(names, (good, bad))}
    nats = np.stack([each.nats for each in told.values()])  # [2 M n]
    right = np.where(nats[0] == nats[1], 0.5, nats[0] < nats[1]).mean(axis=-1)
    notes = [
        *trained.notes,
        *([] if trained.ends else [ENDLESS]),
        *remarks.notes({f"the column {name}": each.facts for name, each in told.items()}),
    ]
    lines = [*(f"note: {one_line(note)}" for note in notes), f"{shown(workdir)}: {len(good)} pairs of {shown(path)}"]
    lines += [f"seed {seed}: {100 * share:.2f} % right" for seed, share in zip(trained.settings.seeds, right)]
    if len(right) > 1:
        summary = summarize(right.tolist())
        mean, half = summary["mean"], summary["ci95"]
        lines.append(f"mean: {100 * (mean or 0):.2f} ± {100 * (half or 0):.2f} %, a 95 % Student-t interval over the members")
    if target is not None:
        write_atomic(target, tables.content(target, _table(trained, names, (good, bad), nats)))
        lines.append(f"{len(good)} pairs written to {shown(target)}")
    return "\n".join(lines)


def _read(files: Sequence[Path], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The texts of two columns, as they stand."""
    columns = tables.columns_given(names)
    form = tables.Form(header=any(isinstance(column, str) for column in columns))
    found = tables.read(*files, text=columns, label=None, form=form)
    pairs = [parted(text) for text in found.texts]
    for row, pair in enumerate(pairs):
        if len(pair) != 2 or not all(map(str.strip, pair)):
            raise ValueError(f"{found.place(row)}: --pairs wants a text in the column {names[0]} and one in {names[1]}")
    good, bad = map(list, zip(*pairs))
    return good, bad


def _told(trained: Trained, texts: Sequence[str]) -> Told:
    examples = trained.encode(texts)
    found = trained.task.read(trained.outputs(examples), examples.encoded, trained.facts)
    return Told(found.nats, remarks.statistics(examples.encoded))


def _table(
    trained: Trained, names: Sequence[str], texts: Sequence[Sequence[str]], nats: np.ndarray
) -> dict[str, Sequence[str | float]]:
    made: dict[str, Sequence[str | float]] = dict(zip(names, texts))
    for seed, of_member in zip(trained.settings.seeds, nats.swapaxes(0, 1)):
        made |= {f"nats of {name} ({seed})": values.tolist() for name, values in zip(names, of_member)}
    return made
