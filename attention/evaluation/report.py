"""What ``eval.py`` prints and writes of a run, whatever its task."""

import dataclasses
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention import specs
from attention.data import remarks, tables, unpacking, windows
from attention.data.contracts import Dataset
from attention.data.segments import parted
from attention.evaluation import columns as written
from attention.evaluation import out_file, overlap
from attention.evaluation.evaluations import Clean, Evaluation, Rivalled
from attention.evaluation.trained import ENDLESS, Trained, load
from attention.files import write_atomic
from attention.messages import listed, one_line, shown
from attention.tasks import Examples, Metric
from attention.text_table import table
from attention.training import by_length, contexts, recipe


def report(
    workdir: str,
    *,
    split: str | None = None,
    data: str | None = None,
    columns: Sequence[str] = (),
    texts: Sequence[str] = (),
    out: str | None = None,
    beam: int = 1,
    length_penalty: float = 0.0,
    stride: int | None = None,
) -> str:
    """Evaluates a run, or asks it about texts.

    Args:
      workdir: the run directory.
      split: the split to score; "test" where neither it nor ``texts`` is given.
      data: what to score in place of the data recorded: the spec of a source, or a path or glob of files that ``files``
        reads, with the text column of the run's source and, where it is known what is right, that column too; or a folder
        of texts, as ``folder`` has them. A folder with splits is a source.
      columns: what the files call these, that of texts first, where it is not as the run's source does; a number is a column
        counted from 0.
      texts: predicted one by one, in place of scores.
      out: a TSV, CSV or JSON Lines file to write the predictions of every example to; ``data`` reads it.
      beam: of a run that writes: how many beginnings of a text are pursued, 1 for greedy.
      length_penalty: of a beam, at least 0; 0 for none.
      stride: of a language model, as ``config.data.stride``, which it takes the place of.

    Returns:
      What to print.

    Raises:
      ValueError: for anything given that cannot be served, in one line.
    """
    files = _checked(split, data, texts, beam, length_penalty)
    if columns and not files:
        raise ValueError("--columns names the columns of a file: it goes with --data=FILE")
    target = out_file.checked(out)
    trained = load(workdir)
    _check_columns(columns, trained)
    trained = trained if stride is None else _at_stride(trained, stride)
    out_file.check_spared(target, [*overlap.files(trained), *map(unpacking.archive, files)])
    outside = trained.run.outside(*([] if texts else [trained.source]))
    if outside:
        places = ", ".join(map(shown, outside))
        print(f"reading from outside {shown(workdir)}: {places}", file=sys.stderr, flush=True)
    search = _search(trained, {"beam": beam, "length_penalty": length_penalty})
    lengths = longer = learned = facts = elsewhere = same = None
    notes = [*trained.notes]
    if texts:
        examples, name = trained.encode(texts), "--text"
    elif files:
        (examples, told), name = _of_files(trained, files, columns), shown(data)
        notes += [*told, *overlap.own(trained, name, [*map(unpacking.archive, files)], examples)]
    else:
        name, loaded = "test" if split is None else split, trained.load_data(data)
        out_file.check_spared(target, loaded.files)
        examples = trained.examples(name, loaded)
        lengths = trained.accuracy_by_length(loaded) if data is None and name == "test" else None
        own = data is None and name == recipe.scored_split(loaded, trained.task)
        longer = trained.with_contexts(loaded) if own else None
        notes += [] if data is None else [*loaded.notes, _whether_recorded(trained, loaded, name)]
        learned, facts = (loaded.rules, loaded.statistics[name]) if data is None else (None, None)
        same = overlap.recorded_as(trained, loaded.hashes[name])
    if data is not None and examples.seen is None and same != "train":
        examples, elsewhere, unknown = overlap.elsewhere(trained, examples, name)
        notes += unknown
    answers = trained.task.plural
    notes += remarks.notes({name: facts or remarks.statistics(examples.encoded, elsewhere, name="test")})
    if target is not None:
        _check_rows(examples, name)
        tables.content(target, _texts(trained, examples))  # before the work: what the format cannot hold
    if examples.encoded.documents is not None:
        cut = trained.settings.data
        how = "documents" if files or texts else cut.windows
        notes.append(windows.described(how, cut.max_length, cut.stride))
        notes += [] if trained.ends or same else [ENDLESS]
    sections = [*(f"note: {one_line(note)}" for note in notes), _headline(trained)]
    if trained.task.answered(examples.encoded):
        evaluation = trained.score(examples, name, **search)
        predictions = evaluation.predictions
        try:
            rival, why = trained.rival(examples), trained.why_no_rival()
        except (ImportError, ValueError) as error:  # which is no reason to withhold the rest
            rival, why = None, f"the rival is left out: {error}"
        sections += [f"note: {one_line(why)}"] if why else []
        sections += _evaluation(trained, evaluation, trained.baselines(examples, learned), rival)
        if evaluation.by_length:
            sections.append(by_length.table(lengths or {"ranges": evaluation.by_length, "of_words": evaluation.of_words}))
        sections += [] if longer is None else [contexts.table(longer)]
    elif not (texts or target):
        called = "" if not files else f", or --columns={_wanted(trained)} where its {answers} are called otherwise"
        raise ValueError(f"{name} has no {answers} to score; give --out=FILE.tsv for the predictions{called}")
    else:
        predictions = trained.task.read(trained.outputs(examples, None, **search), examples.encoded, trained.facts)
        sections.append(trained.task.told(predictions, texts) if texts else f"{name} has no {answers}: no scores")
    if target is not None:
        write_atomic(target, tables.content(target, _columns(trained, predictions, examples), trained.separator))
        sections.append(f"{len(examples.texts)} predictions written to {shown(target)}")
    return "\n\n".join(sections)


def _wanted(trained: Trained) -> str:
    """What ``--columns`` takes: as many texts as the run reads, and the answer where there can be one."""
    several, answer = len(trained.columns()) > 2, [] if trained.documents else ["ANSWER"]
    return ",".join([*(f"TEXT{number}" if several else "TEXT" for number in range(1, len(trained.columns()))), *answer])


def _of_files(trained: Trained, files: Sequence[Path], columns: Sequence[str]) -> tuple[Examples, tuple[str, ...]]:
    try:
        return trained.read_files(*files, columns=tables.columns_given(columns))
    except tables.MissingColumnError as error:
        if columns:
            raise
        raise ValueError(f"{error}; --columns={_wanted(trained)} says what they are called") from None


def _check_columns(columns: Sequence[str], trained: Trained) -> None:
    """Raises ValueError for names of columns that cannot be: those of texts are given, and that of answers may be."""
    least = len(trained.columns()) - 1
    most = least + (not trained.documents)
    if columns and (not least <= len(columns) <= most or not all(columns) or len(set(columns)) < len(columns)):
        wanted = f"that of texts{' and that of answers' * (most > least)}, --columns={_wanted(trained)}"
        raise ValueError(f"--columns wants {wanted}, got {listed(columns)}")


def _whether_recorded(trained: Trained, loaded: Dataset, split: str) -> str:
    """Whether a split of other data is, by its content, one that the run recorded."""
    same = overlap.recorded_as(trained, loaded.hashes[split])
    what = f"the {split} split of {shown(loaded.source)}"
    return f"{what} is none that the run recorded" if same is None else f"{what} is the {same} split that the run recorded"


def _checked(split: str | None, data: str | None, texts: Sequence[str], beam: int, length_penalty: float) -> list[Path]:
    """The files that are to be scored, if ``data`` is such. Raises ValueError for what does not go together."""
    if texts and (data is not None or split is not None):
        raise ValueError("--text asks about the text alone: it goes with neither --data nor --split")
    for position, text in enumerate(texts):
        if not text.strip():
            raise ValueError(f"--text number {position + 1} is empty")
    if beam < 1:
        raise ValueError(f"--beam wants a number of 1 or more, got {beam}")
    if not 0 <= length_penalty < math.inf:
        raise ValueError(f"--length_penalty wants a number of 0 or more, got {length_penalty}")
    if data is None:
        return []
    try:
        files = tables.named(data)
        if not files:
            specs.build("source", data)
    except ValueError as error:
        raise ValueError(f"{error}; a file alone is --data=FILE.csv --columns=TEXT,ANSWER") from None
    if files and split is not None:
        raise ValueError(f"--split={shown(split)} names a split of a source; {shown(data)} is read whole")
    return files


def _at_stride(trained: Trained, stride: int) -> Trained:
    """The run with another stride in its windows. Raises ValueError where it has none, or cannot have this one."""
    if not trained.documents:
        raise ValueError(f"--stride is of language models of whole texts; {trained.run.path} is none")
    settings = trained.settings
    windows.check(settings.data.windows, settings.data.max_length, stride)
    data = dataclasses.replace(settings.data, stride=stride)
    return trained._replace(settings=dataclasses.replace(settings, data=data))


def _check_rows(examples: Examples, name: str) -> None:
    """Raises ValueError for a long text in pieces, which is no row of a table."""
    documents = examples.encoded.documents
    if documents is not None and len(documents) - 1 != len(examples.texts):
        have = f"{name} is {len(documents) - 1} text in {len(examples.texts)} pieces"
        raise ValueError(f"--out has a row for each text, and {have}; --data=FILE.txt scores texts of your own")


def _columns(trained: Trained, predictions: Any, examples: Examples) -> dict[str, Sequence[Any]]:
    """What is written of every example; texts and answers are called as in the files of the run, which can be read in turn."""
    columns = trained.task.columns(predictions, examples, trained.facts)
    own = set(columns) - {trained.task.answers}
    texts, called = _texts(trained, examples, taken=own), written.called(trained.columns(), trained.task.answers)
    answer = trained.task.answers if set(called) & own else called[-1]
    return {**texts, **{answer if name == trained.task.answers else name: cells for name, cells in columns.items()}}


def _texts(trained: Trained, examples: Examples, taken: Collection[str] = ()) -> dict[str, Sequence[str]]:
    """The columns of texts, by names that are not ``taken``."""
    names = written.called(trained.columns(), trained.task.answers)
    if set(names) & set(taken):
        names = written.usual(trained.columns(), trained.task.answers)
    parts = [parted(text) for text in examples.texts] if len(names) > 2 else [[text] for text in examples.texts]
    return {name: [each[place] if place < len(each) else "" for each in parts] for place, name in enumerate(names[:-1])}


def _search(trained: Trained, given: Mapping[str, float]) -> dict[str, float]:
    """The options of the search that the task takes. Raises ValueError for one that it does not take."""
    known, usual = dict(trained.task.search), {"beam": 1, "length_penalty": 0.0}
    for name, value in given.items():
        if name not in known and value != usual[name]:
            raise ValueError(f"--beam and --length_penalty are for runs that write; {trained.run.path} does not")
    return {name: value for name, value in given.items() if name in known}


def _headline(trained: Trained) -> str:
    members, classes = len(trained.settings.seeds), trained.data.classes
    which = f"{members} members" if members > 1 else "1 member"
    of_classes = bool(classes) and not trained.task.next_token
    what = f"{trained.settings.task} of {len(classes)} classes" if of_classes else trained.settings.task
    return f"{shown(trained.run.path)}: {which}, {what}, data {shown(trained.data.source)}"


def _evaluation(trained: Trained, evaluation: Evaluation, baselines: Mapping[str, float], rival: Rivalled | None) -> list[str]:
    """The scores of each member, over the members, and of the rival, with the baselines, and what the task says beside them."""
    beside = [None, None] if rival is None else [(rival.spec, scores) for scores in (rival.scores, rival.clean)]
    lines = [f"{evaluation.split}, {_examples(len(evaluation.examples.texts))}", _scores(trained, evaluation, beside[0])]
    if len(evaluation.members) > 1:
        lines.append("mean ± half width of its 95 % Student-t interval")
    lines += [f"baseline {name}: {_number(trained.task.ruled, value)}" for name, value in baselines.items()]
    if evaluation.clean is not None:
        where = "in train" if evaluation.split == "validation" else "in train or validation"
        lines += [
            f"without the texts that are also {where}, {_examples(evaluation.clean.examples)}",
            _scores(trained, evaluation.clean, beside[1]),
        ]
    details = trained.task.details(evaluation.outputs, evaluation.examples, trained.facts)
    return ["\n".join(lines), *details]


def _scores(trained: Trained, scored: Evaluation | Clean, rival: tuple[str, Mapping[str, float] | None] | None) -> str:
    """A row of scores for each member, one of their means, and one of the rival, which has a spec."""
    metrics = [metric for metric in trained.task.metrics if any(member[metric.name] is not None for member in scored.members)]
    rows = [["", *(metric.name for metric in metrics)]]
    for member in scored.members:
        rows.append([f"seed {member['seed']}", *(_number(metric, member[metric.name]) for metric in metrics)])
    if len(scored.members) > 1:
        rows.append(["mean", *(_interval(metric, scored.summary[metric.name]) for metric in metrics)])
    if rival is not None and rival[1] is not None:
        rows.append([f"rival {rival[0]}", *(_number(metric, rival[1][metric.name]) for metric in metrics)])
    return table(rows)


def _examples(count: int) -> str:
    return f"{count} example{'s' * (count != 1)}"


def _number(metric: Metric, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if metric.share else f"{value:.4f}"


def _interval(metric: Metric, summary: Mapping[str, float | None]) -> str:
    mean, half = summary["mean"], summary["ci95"]
    if mean is None or half is None:
        return _number(metric, mean)
    return f"{_number(metric, mean).removesuffix(' %')} ± {_number(metric, half)}"
