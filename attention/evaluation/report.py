"""What ``eval.py`` prints and writes of a run."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attention import specs
from attention.data import tables
from attention.evaluation import report_seq2seq
from attention.evaluation import trained as evaluate
from attention.evaluation.trained import Evaluation, Examples, Predictions, Trained
from attention.runs.directory import write_text_atomic
from attention.text_table import escaped, table
from attention.training import by_length

# The metrics of the table, each with the factor and the sign of its unit.
COLUMNS = {"accuracy": (100, " %"), "macro_f1": (100, " %"), "nll": (1, ""), "ece": (100, " %")}


def report(
    workdir: str,
    *,
    split: str | None = None,
    data: str | None = None,
    texts: Sequence[str] = (),
    out: str | None = None,
    beam: int = 1,
    length_penalty: float = 0.0,
) -> str:
    """Evaluates a run, or asks it about texts.

    Args:
      workdir: the run directory.
      split: the split to score; "test" where neither it nor ``texts`` is given.
      data: what to score in place of the data recorded: the spec of a source, or the path of a TSV, CSV or JSON Lines
        file (also .gz) with the text column of the run's source and, where the labels are known, its label column.
      texts: predicted one by one, in place of scores.
      out: a TSV file to write the predictions of every example to.
      beam: of a run that writes: how many beginnings of a text are pursued, 1 for greedy.
      length_penalty: of a beam, at least 0; 0 for none.

    Returns:
      What to print.

    Raises:
      ValueError: for anything given that cannot be served, in one line.
    """
    if texts and (data is not None or split is not None):
        raise ValueError("--text asks about the text alone: it goes with neither --data nor --split")
    for position, text in enumerate(texts):
        if not text.strip():
            raise ValueError(f"--text number {position + 1} is empty")
    file = data if data is not None and re.search(r"\.(tsv|csv|jsonl)(\.gz)?$", data) else None
    if file is not None and split is not None:
        raise ValueError(f"--split={split} names a split of a source; {file} is one file")
    target = _writable(out)
    if beam < 1:
        raise ValueError(f"--beam wants a number of 1 or more, got {beam}")
    if not length_penalty >= 0:
        raise ValueError(f"--length_penalty wants a number of 0 or more, got {length_penalty}")
    search = report_seq2seq.Search(beam, length_penalty)
    trained = evaluate.load(workdir)
    sections = [*trained.notes, _headline(trained)]
    split, lengths = split or "test", None
    if trained.settings.task == "seq2seq":
        given = {"split": split, "data": data, "file": file, "texts": texts, "target": target, "search": search}
        return "\n\n".join([*sections, *report_seq2seq.report(trained, **given)])
    if search != report_seq2seq.Search():
        raise ValueError(f"--beam and --length_penalty are for runs that write; {workdir} tells classes apart")
    if texts:
        examples = trained.encode(texts)
    elif file is not None:
        examples, split = read_file(trained, Path(file)), file
    else:
        loaded = trained.load_data(data)
        examples = trained.examples(split, loaded)
        lengths = trained.accuracy_by_length(loaded) if data is None and split == "test" else None
    labelled = bool((examples.encoded.labels >= 0).any())
    if not (labelled or texts or target):
        raise ValueError(f"{split} has no labels to score; give --out=FILE.tsv for the predictions")
    if labelled:
        evaluation = trained.score(examples, split)
        predictions = evaluation.predictions
        sections.append(format_evaluation(trained, evaluation))
        sections += [] if lengths is None else [by_length.table(lengths)]
    else:
        predictions = trained.predictions(trained.logits(examples))
        sections.append(format_predictions(texts, predictions) if texts else f"{split} has no labels: no scores")
    if target is not None:
        write_predictions(target, examples, predictions)
        sections.append(f"{len(examples.texts)} predictions written to {target}")
    return "\n\n".join(sections)


def read_file(trained: Trained, path: Path) -> Examples:
    """The texts of a file, and their labels where it has the label column; the columns are named as in training."""
    options = dict(specs.parse(trained.data.source).options)
    text, label = options.get("text", "text"), options.get("label", "label")
    labelled = label in tables.columns(path)
    # Without a label column the text stands in for it, so that one reader checks both kinds of file.
    found = tables.read(path, text=text, label=label if labelled else text)
    return trained.encode(found.texts, found.labels if labelled else None)


def _writable(out: str | None) -> Path | None:
    """The file to write, checked before the work begins."""
    if out is None:
        return None
    path = Path(out)
    if not path.parent.is_dir():
        raise ValueError(f"--out={out}: there is no folder {path.parent}")
    if not out or path.is_dir():
        raise ValueError(f"--out={out} wants the name of a file, as in predictions.tsv")
    return path


def _headline(trained: Trained) -> str:
    members = len(trained.settings.seeds)
    which = f"{members} members" if members > 1 else "1 member"
    what = f"{len(trained.data.classes)} classes" if trained.data.classes else "writes texts"
    return f"{trained.run.path}: {which}, {what}, data {trained.data.source}"


def format_evaluation(trained: Trained, evaluation: Evaluation) -> str:
    """Scores per member and over members, the baselines, the confusion matrix, and accuracy by length."""
    rows = [[f"seed {member['seed']}", *(_number(member[name], name) for name in COLUMNS)] for member in evaluation.members]
    if len(evaluation.members) > 1:
        rows.append(["mean", *(_interval(evaluation.summary[name], name) for name in COLUMNS)])
    scores = table([["", *COLUMNS], *rows])
    count = len(evaluation.examples.texts)
    baselines = "".join(f"\nbaseline {name}: {100 * value:.2f} %" for name, value in trained.data.baselines.items())
    interval = "\nmean ± half width of its 95 % Student-t interval" if len(rows) > len(evaluation.members) else ""
    over = f", summed over {len(evaluation.members)} members" if len(evaluation.members) > 1 else ""
    classes = trained.data.classes
    matrix = [["label \\ predicted", *classes]]
    matrix += [[name, *map(str, row)] for name, row in zip(classes, evaluation.confusion.tolist())]
    lengths = [["tokens", "examples", "accuracy"]]
    for row in evaluation.by_length:
        end = "more" if row["up_to"] is None else row["up_to"]
        accuracy = "-" if row["accuracy"] is None else _number(row["accuracy"], "accuracy")
        lengths.append([f"{row['above'] + 1} to {end}", str(row["count"] // len(evaluation.members)), accuracy])
    return "\n\n".join(
        [
            f"{evaluation.split}, {count} examples\n{scores}{interval}{baselines}",
            f"confusion{over}\n{table(matrix)}",
            f"accuracy by length\n{table(lengths)}",
        ]
    )


def format_predictions(texts: Sequence[str], predictions: Predictions) -> str:
    """For each text the class, how many members agree, and the probability of every class."""
    blocks = []
    for text, label, row, agreeing in zip(texts, predictions.labels, predictions.probabilities, predictions.agreeing):
        agree = f", {agreeing} of {predictions.members} members agree" if predictions.members > 1 else ""
        order = np.argsort(-row, kind="stable")
        listed = "  ".join(f"{predictions.classes[number]} {row[number]:.4f}" for number in order)
        blocks.append(f"{text}\n  {label}{agree}\n  {listed}")
    return "\n".join(blocks)


def write_predictions(path: Path, examples: Examples, predictions: Predictions) -> None:
    """Writes a TSV atomically: text, predicted, the probability of each class, and the label where it is known.

    A text keeps to its line and column: backslash, tab, newline and carriage return are written ``\\\\``, ``\\t``,
    ``\\n`` and ``\\r``.
    """
    labels = examples.encoded.labels
    known = bool((labels >= 0).any())
    header = ["text", "predicted", *(f"p({name})" for name in predictions.classes), *(["label"] if known else [])]
    lines = ["\t".join(map(escaped, header))]
    for text, predicted, row, label in zip(examples.texts, predictions.labels, predictions.probabilities, labels):
        name = predictions.classes[label] if label >= 0 else ""
        fields = [text, predicted, *(f"{value:.9g}" for value in row), *([name] if known else [])]
        lines.append("\t".join(map(escaped, fields)))
    write_text_atomic(path, "\n".join(lines) + "\n")


def _number(value: float, name: str) -> str:
    factor, unit = COLUMNS[name]
    return f"{factor * value:.2f}{unit}" if unit else f"{value:.4f}"


def _interval(summary: dict[str, float | None], name: str) -> str:
    mean, half = summary["mean"], summary["ci95"]
    assert mean is not None
    assert half is not None
    return f"{_number(mean, name).removesuffix(' %')} ± {_number(half, name)}"
