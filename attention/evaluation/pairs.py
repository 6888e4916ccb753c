"""Minimal pairs: which of two texts a language model finds likelier, the one that is right or the one that is wrong.

A pair is told right where all of the tokens of the right text, its end among them, are together likelier than those of the
wrong one; of equals half counts (Warstadt et al. 2020, BLiMP, arXiv 1912.00582). Texts compare by all of their tokens, so that
the longer one is rarely the likelier: pairs want texts that differ in little.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attention.data import tables
from attention.evaluation.trained import Trained, load
from attention.files import write_atomic
from attention.messages import shown
from attention.metrics import summarize

COLUMNS = ("good", "bad")


def report(workdir: str, path: str, *, columns: Sequence[str] = (), out: str | None = None) -> str:
    """The share of pairs that each member tells right.

    Args:
      workdir: the directory of a run of a language model.
      path: of a table with a pair in each row.
      columns: of the right texts and of the wrong ones, ``COLUMNS`` where not given.
      out: a table to write the nats of both to.

    Returns:
      What to print.

    Raises:
      ValueError: for a run of another kind, a file without such columns, or an empty text.
    """
    names = tuple(columns) or COLUMNS
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"--pairs wants the columns of right and of wrong texts, --columns=GOOD,BAD; got {','.join(names)}")
    if out is not None:
        tables.check_writable(Path(out))
    trained = load(workdir)
    if not (trained.task.next_token and trained.documents):
        raise ValueError(f"--pairs compares texts by a language model of whole texts; {shown(workdir)} is none")
    good, bad = ([*map(str, column)] for column in _columns(path, names))
    nats = np.stack([_nats(trained, texts) for texts in (good, bad)])  # [2 M n]
    right = np.where(nats[0] == nats[1], 0.5, nats[0] < nats[1]).mean(axis=-1)
    lines = [f"{shown(workdir)}: {len(good)} pairs of {shown(path)}"]
    lines += [f"seed {seed}: {100 * share:.2f} % right" for seed, share in zip(trained.settings.seeds, right)]
    if len(right) > 1:
        summary = summarize(right.tolist())
        mean, half = summary["mean"], summary["ci95"]
        lines.append(f"mean: {100 * (mean or 0):.2f} ± {100 * (half or 0):.2f} %, a 95 % Student-t interval over the members")
    if out is not None:
        write_atomic(Path(out), tables.content(Path(out), _table(trained, names, (good, bad), nats)))
        lines.append(f"{len(good)} pairs written to {shown(out)}")
    return "\n".join(lines)


def _columns(path: str, names: tuple[str, ...]) -> tuple[Sequence[str], Sequence[str]]:
    files = tables.named(path)
    if not files:
        raise ValueError(f"--pairs={shown(path)} wants the path of a table, with the columns {names[0]} and {names[1]}")
    found = tables.read(*files, text=(names[0],), label=names[1])
    return found.texts, found.labels


def _nats(trained: Trained, texts: Sequence[str]) -> np.ndarray:
    """The nats of each text by each member, ``[M n]``."""
    examples = trained.encode(texts)
    return trained.task.read(trained.outputs(examples), examples.encoded, trained.facts).nats


def _table(
    trained: Trained, names: Sequence[str], texts: Sequence[Sequence[str]], nats: np.ndarray
) -> dict[str, Sequence[str | float]]:
    made: dict[str, Sequence[str | float]] = dict(zip(names, texts))
    for seed, of_member in zip(trained.settings.seeds, nats.swapaxes(0, 1)):
        made |= {f"nats of {name} ({seed})": values.tolist() for name, values in zip(names, of_member)}
    return made
