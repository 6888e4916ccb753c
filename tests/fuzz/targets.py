"""What is fuzzed: a finished run under ``eval.py``, files under the sources that read them, command lines up to the work."""

import contextlib
import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.feather
import pyarrow.parquet

from attention import specs
from attention.commands import eval as eval_entry
from attention.commands import sweep as sweep_entry
from attention.commands import train as train_entry
from attention.data import tables
from attention.evaluation import report
from attention.lab import plan
from attention.training import command_line, config, loop, recipe
from tests.fuzz.campaign import Case, Found, Target, check_message, refused
from tests.fuzz.mutations import mutated_bytes, mutated_digit, mutated_json, mutated_words
from tests.support import toy

ROOT = Path(__file__).parent.parent.parent


def runs(folder: Path) -> Target:
    """Every file of a small finished run, damaged: the scores are those of the whole run, or there are none."""
    source = toy.write_data(folder)
    whole, here = folder / "whole", folder / "run"
    settings = config.from_dict({**toy.fields(source), "seeds": (0, 1)})
    with contextlib.redirect_stdout(io.StringIO()):
        loop.train(settings, whole)
        shutil.copytree(whole, here)
        wanted = _scores(report.report(str(here)))
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and path.stat().st_size)

    def target(rng: np.random.Generator) -> Case:
        name = files[rng.integers(len(files))]
        data = (whole / name).read_bytes()
        damage = (mutated_bytes, mutated_digit, mutated_json)[rng.choice(3, p=[0.5, 0.2, 0.3])]
        what, damaged = damage(rng, data)
        gone = rng.random() < 0.03
        return Case(f"{name}: {'deleted' if gone else what}", lambda: _evaluated(here / name, None if gone else damaged, data))

    def _evaluated(path: Path, damaged: bytes | None, data: bytes) -> str:
        try:
            path.unlink() if damaged is None else path.write_bytes(damaged)
            end, text = refused(lambda: report.report(str(here)))
        finally:
            path.write_bytes(data)
        if text is not None and not text.replace("\n", "").isprintable():
            raise Found(f"signs that a terminal obeys: {text[:300]!r}")
        if text is not None and _scores(text) != wanted:
            raise Found(f"other scores: {_scores(text)[:300]}")
        return end

    return target


def _scores(text: str) -> str:
    """What is printed, without the notes of damage."""
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("note:"))


ROWS = [
    ("good film", "pos"),
    ('he said, "no"', "neg"),
    ("l'été; 4 | 5", "pos"),
    ("two\nlines", "neg"),
    ("\u2028 sep", "pos"),
] * 3


def files(folder: Path) -> Target:
    """Files of texts and labels, damaged: read as a table without holes, or refused."""
    plain = [(text.replace("\n", " "), label) for text, label in ROWS]
    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    made = {
        "a.csv": tables.content(Path("a.csv"), columns),
        "a.jsonl": tables.content(Path("a.jsonl"), columns),
        "a.tsv": "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *plain]).encode(),
        "b.csv": "".join(f"{text};{label}\r\n" for text, label in [("text", "label"), ("x", "a"), ("y", "b")]).encode("utf-16"),
        "c.jsonl": "".join(json.dumps({"text": text, "label": i}) + "\n" for i, (text, _) in enumerate(ROWS)).encode(),
    }
    made |= {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in list(made.items())}
    made |= {"d.json": json.dumps([{"text": text, "label": label} for text, label in ROWS]).encode()}
    made |= {"e.txt": "".join(f"__label__{label} {text}\n" for text, label in plain).encode(), **_columnar(columns)}
    made |= {"f.csv.zst": pyarrow.compress(made["a.csv"], "zstd", asbytes=True), "g.zip": _zipped("a.csv", made["a.csv"])}
    names = sorted(made)

    def target(rng: np.random.Generator) -> Case:
        name = names[rng.integers(len(names))]
        what, damaged = mutated_bytes(rng, made[name])
        optional = bool(rng.random() < 0.5)
        return Case(f"{name}: {what}", lambda: _read(folder / name, damaged, optional=optional))

    return target


def _columnar(columns: dict[str, list[str]]) -> dict[str, bytes]:
    table, made = pyarrow.table(columns), {}
    for name, write in (("h.parquet", pyarrow.parquet.write_table), ("i.feather", pyarrow.feather.write_feather)):
        stream = io.BytesIO()
        write(table, stream)
        made[name] = stream.getvalue()
    stream = io.BytesIO()
    with pyarrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {**made, "j.arrow": stream.getvalue()}


def _zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def _read(path: Path, damaged: bytes, *, optional: bool) -> str:
    path.write_bytes(damaged)
    end, table = refused(lambda: tables.read(path, text="text", label="label", optional=optional))
    if table is None:
        return end
    if not all(text.strip() for text in table.texts) or len(table.labels) not in (0, len(table.texts)):
        raise Found("a table with holes")
    for note in table.notes:
        check_message(note)
    end, corpus = refused(lambda: specs.build("source", f"files(train={str(path)!r})").load(0))
    if corpus is not None:
        for note in corpus.notes:
            check_message(note)
    return end


_TREE = "1-2\tgo's\t_\t_\t_\t_\t_\t_\t_\t_\n1\tgo\t_\tVERB\t_\tMood=Imp\t0\t_\t_\t_\n2\t10 0\t_\tNUM\t_\t_\t1\t_\t_\t_\n"
CORPORA = {
    "a.txt": "One é line\r\nand \u65e5\u672c, too.\n\n \nAnother\n" * 9,
    "b.conllu": f"# text\n{_TREE}\n{_TREE}",
    "c.train": "-DOCSTART- O\n\nEU B-ORG\nsays O\n\n\nPeter B-PER\n" * 3,
    "d.tsv": "text\ttags\n" + "go on\tVERB ADP\nso\t_\n" * 4,
}


def corpora(folder: Path) -> Target:
    """Plain text and tagged words, damaged: text that is there as it was, and a tag for each word, or refused."""
    forms = ["text(path={0!r}, documents=line)", "text(path={0!r}, test=0.5)", "tagged(train={0!r})", "{0}"]

    def target(rng: np.random.Generator) -> Case:
        name, form = sorted(CORPORA)[rng.integers(len(CORPORA))], forms[rng.integers(len(forms))]
        what, damaged = mutated_bytes(rng, CORPORA[name].encode())
        return Case(f"{form} of {name}: {what}", lambda: _corpus(folder / name, damaged, form))

    return target


def _corpus(path: Path, damaged: bytes, form: str) -> str:
    path.write_bytes(damaged)
    end, corpus = refused(lambda: specs.build("source", form.format(str(path))).load(0))
    if corpus is None:
        return end
    for split in corpus.splits.values():
        pairs = zip(split.texts, split.wanted or split.texts, strict=True)
        if any(len(text.split(" ")) != len(wanted.split(" ")) for text, wanted in pairs):
            raise Found("words and tags that are not equally many")
    text = "".join(text for split in corpus.splits.values() for text in split.texts)
    if not all(split.ends for split in corpus.splits.values()) and text.encode() != damaged.removeprefix(b"\xef\xbb\xbf"):
        raise Found("a stream that is not what the file holds")
    return end


COMMANDS = [
    ["train.py", "--config=configs/smoke.py", "--config.model.encoding=rope(base=500000, fraction=0.5)", "--workdir=runs/x"],
    ["train.py", "--config=configs/smoke.py", "--config.model.mask=causal & local(window=64)", "--config.seeds=0,1,2"],
    [
        "train.py",
        "--config.model.encoding=randomized(inner=alibi(), max_position=2048)",
        "--config.training.learning_rate=1e-3",
    ],
    ["train.py", "--config=configs/base.py", "--config.data.source=files(train='a.tsv', text='body')", "--profile"],
    ["train.py", "--config.data.source=order(max_length=40, train=100)", "--config.data.tokenizer=wordpiece(size=8000)"],
    [
        "train.py",
        "--config.model.encoder=transformer(layers=2, mlp=4)",
        "--config.model.mixer=attention(heads=4)",
        "--describe",
    ],
    [
        "train.py",
        "--config.training.optimizer=adamw(b1=0.9)",
        "--config.training.class_weights=1,2",
        "--config.cohort.halvings=2",
    ],
    ["train.py", "--list=encoding"],
    ["train.py", "--config=configs/seq2seq/dates.py", "--config.model.decoder=transformer(layers=1)", "--init_from=runs/y"],
    ["eval.py", "--workdir=runs/x", "--split=validation", "--beam=4", "--length_penalty=0.5"],
    ["eval.py", "--workdir=runs/x", "--data=new.tsv", "--out=pred.tsv", "--text=Who wrote Hamlet?"],
    ["sweep.py", "--config=configs/sweeps/smoke.py", "--config.training.steps=500", "--config.seeds=0,1", "--dry_run"],
    ["sweep.py", "--compare", "runs/A", "runs/B"],
    ["sweep.py", "--config=configs/sweeps/encodings.py", "--export=shell", "--only=x", "--retry_failed", "--executor=local"],
]


def commands(folder: Path) -> Target:
    """Command lines up to where the work begins: taken, or one line and exit code 2."""

    def target(rng: np.random.Generator) -> Case:
        name, *words = COMMANDS[rng.integers(len(COMMANDS))]
        given = mutated_words(rng, words)
        return Case(f"{name} {given!r}"[:300], lambda: _parsed(name, given))

    return target


def _parsed(name: str, given: list[str]) -> str:
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        try:
            code = command_line.run_main(_PARSE[name], [name, *given])
        except SystemExit as stop:
            code = stop.code
    said = stderr.getvalue()
    if code == 0:
        return "right"
    if code != 2 or said.count("\n") != 1:
        raise Found(f"exit code {code}: {said[:200]!r}")
    check_message(said.removeprefix("error: ").removesuffix("\n"))
    return "refused"


def _train(argv: list[str]) -> None:
    given = command_line.parse_config(train_entry.listing(argv), default=ROOT / "configs" / "smoke.py")
    values = train_entry.define_flags()
    command_line.parse_flags(given.argv, values, usage="")
    if values.list is not None:
        train_entry.variants_of(values.list)
        return
    settings = config.from_dict(given.fields.to_dict())
    recipe.checked_model(settings)
    specs.build("source", settings.data.source)
    specs.build("tokenizer", settings.data.tokenizer)


def _eval(argv: list[str]) -> None:
    values = eval_entry.define_flags()
    command_line.parse_flags(argv, values, usage="")
    asked = {"split": values.split, "data": values.data, "texts": values.text, "out": values.out}
    report.report(values.workdir or "runs/none", **asked, beam=values.beam, length_penalty=values.length_penalty)


def _sweep(argv: list[str]) -> None:
    given = command_line.parse_config(sweep_entry.joined(argv), default=sweep_entry.DEFAULT)
    command_line.parse_flags(given.argv, sweep_entry.define_flags(), usage="")
    plan.read(given.fields.to_dict(), given.name)


_PARSE: dict[str, Callable[[list[str]], None]] = {"train.py": _train, "eval.py": _eval, "sweep.py": _sweep}
TARGETS: dict[str, Callable[[Path], Target]] = {"runs": runs, "files": files, "corpora": corpora, "commands": commands}
