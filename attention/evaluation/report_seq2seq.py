"""What ``eval.py`` prints and writes of a run that writes texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attention import specs
from attention.data import tables
from attention.data.dataset import Encoded, encode_targets, encode_texts
from attention.evaluation.trained import Trained
from attention.runs.directory import write_text_atomic
from attention.tasks import seq2seq
from attention.text_table import escaped, table
from attention import metrics
from attention.training import config

SHOWN = 5  # errors


class Pairs(NamedTuple):
    """Sources, and what is to be written of them where that is known."""

    texts: Sequence[str]
    targets: Sequence[str] | None
    encoded: Encoded


class Search(NamedTuple):
    """How texts are sought."""

    width: int = 1
    length_penalty: float = 0.0


def report(
    trained: Trained,
    *,
    split: str,
    data: str | None,
    file: str | None,
    texts: Sequence[str],
    target: Path | None,
    search: Search,
) -> list[str]:
    """The sections of the report: scores and the first errors, or what is written of ``texts``; see ``reports.report``."""
    if texts:
        pairs = _encoded(trained, texts, None)
    elif file is not None:
        pairs, split = read_file(trained, Path(file)), file
    else:
        loaded = trained.load_data(data)
        if split not in loaded.splits:
            near = specs.nearest(split, loaded.splits)
            raise ValueError(f"{loaded.source} has no split {split!r}{near}; splits: {', '.join(loaded.splits)}")
        if loaded.splits[split].targets is None:
            raise ValueError(f"{loaded.source} has classes and no texts to write, which is what {trained.run.path} does")
        pairs = Pairs(loaded.texts[split], loaded.targets[split], loaded.splits[split])
    if pairs.targets is None and not (texts or target):
        raise ValueError(f"{split} has no targets to score; give --out=FILE.tsv for what is written")
    options = search._asdict()
    written = seq2seq.run_written(trained.model, trained.params, pairs.encoded, trained.settings, trained.data, **options)
    transcripts = [[_text(trained, row) for row in member.tokens] for member in written]
    sections = []
    if pairs.targets is not None:
        sections.append(_scores(trained, written, pairs, transcripts, split))
    elif texts:
        sections.append("\n".join(_answers(text, column) for text, *column in zip(texts, *transcripts)))
    else:
        sections.append(f"{split} has no targets: no scores")
    if target is not None:
        _write(target, pairs, transcripts, trained.settings.seeds)
        sections.append(f"{len(pairs.texts)} transcripts written to {target}")
    return sections


def read_file(trained: Trained, path: Path) -> Pairs:
    """The texts of a file, and their targets where it has that column; the columns are named as in training."""
    options = dict(specs.parse(trained.data.source).options)
    text, target = str(options.get("text", "text")), str(options.get("target", "target"))
    known = target in tables.columns(path)
    found = tables.read(path, text=text, label=target if known else text)
    return _encoded(trained, found.texts, found.labels if known else None)


def _encoded(trained: Trained, texts: Sequence[str], targets: Sequence[str] | None) -> Pairs:
    given, state = trained.settings.data, trained.tokenizer_state
    encoded = encode_texts(trained.tokenizer, state, texts, **config.reading(given))
    if targets is not None:
        encoded = encode_targets(encoded, trained.tokenizer, state, targets, max_length=given.max_length)
    return Pairs(texts, targets, encoded)


def _text(trained: Trained, tokens: np.ndarray) -> str:
    """What a member wrote, without the end; a text that found none ends in an ellipsis."""
    end = trained.data.vocab_size - 1
    inside = tokens[(tokens != end) & (tokens != 0)].tolist()
    return trained.tokenizer.decode(trained.tokenizer_state, inside) + ("" if end in tokens else " …")


def _scores(
    trained: Trained, written: Sequence[seq2seq.Written], pairs: Pairs, transcripts: Sequence[Sequence[str]], split: str
) -> str:
    scores = [seq2seq.score(member, pairs.encoded) for member in written]
    shown = lambda name, value: f"{value:.4f}" if name == "nll" else f"{100 * value:.2f} %"
    rows = [["", *seq2seq.METRICS]]
    seeds = trained.settings.seeds
    rows += [[f"seed {s}", *(shown(n, score[n]) for n in seq2seq.METRICS)] for s, score in zip(seeds, scores)]
    if len(scores) > 1:
        totals = {name: metrics.summarize([score[name] for score in scores]) for name in seq2seq.METRICS}
        rows.append(["mean", *(shown(n, t["mean"]).removesuffix(" %") for n, t in totals.items())])
        rows.append(["95 %", *(f"±{shown(n, t['ci95'])}" for n, t in totals.items())])
    lines = [f"{split}, {len(pairs.texts)} examples", table(rows)]
    lines += [f"baseline {name}: {100 * value:.2f} %" for name, value in trained.data.baselines.items()]
    assert pairs.targets is not None
    assert pairs.encoded.targets is not None
    wrong = np.flatnonzero(~seq2seq.matches(written[0].tokens, pairs.encoded.targets))[:SHOWN]
    if len(wrong):
        lines += ["", f"the first errors of seed {seeds[0]}"]
        for row in wrong.tolist():
            lines += [f"{pairs.texts[row]}", f"  wanted   {pairs.targets[row]}", f"  written  {transcripts[0][row]}"]
    return "\n".join(lines)


def _answers(text: str, column: Sequence[str]) -> str:
    many = lambda each: f"  ({column.count(each)} of {len(column)} members)" if len(column) > 1 else ""
    return "\n".join([text, *(f"  {each}{many(each)}" for each in dict.fromkeys(column))])


def _write(path: Path, pairs: Pairs, transcripts: Sequence[Sequence[str]], seeds: Sequence[int]) -> None:
    """A TSV, one line for each text: the text, what each member wrote, and the target where it is known."""
    header = ["text", *(f"written({seed})" for seed in seeds), *([] if pairs.targets is None else ["target"])]
    columns = [pairs.texts, *transcripts, *([] if pairs.targets is None else [pairs.targets])]
    lines = ["\t".join(map(escaped, row)) for row in (header, *zip(*columns))]
    write_text_atomic(path, "\n".join(lines) + "\n")
