"""Texts of large files: read from them bit by bit, compared by hash, taken apart once and in several processes, and kept."""

import functools
import gzip
import json
import os
import signal
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention import heartbeat
from attention.data import _corpus_cache, counting, dataset, file_text, repeats, tables, texts, workers
from attention.data.formats import columnar, delimited, rows
from attention.files import TryAgainError
from tests.support.sources import build, error_of, write

WORDS = ["the", "Cat", "sat", "on", "a", "mat,", "and", "“dogs”", "ran:", "don't", "<br", "/>", "3.14", "é", "日本", "x"]
LINES = [" ".join(WORDS[(7 * row + 3 * place * row + place) % len(WORDS)] for place in range(2 + row % 9)) for row in range(60)]
LINES[10], LINES[20] = LINES[4].upper(), f" {LINES[4]}"
LABELS = ["good" if row % 3 else "bad" for row in range(60)]
QUOTED = [f'"{line.replace(" ", chr(10), 1)} ""x"", y"' for line in LINES]


def small(monkeypatch, processes=1):
    """Everything is large: files are read, and texts held and handed over, a few at a time."""
    values = {
        file_text: {"_LARGE": 0, "_READ": 97},
        texts: {"HELD": 0, "_READ": 100, "_DISTINCT": 1},
        workers: {"_AT_ONCE": 300},
        counting: {"_REMEMBERED": 8},
        _corpus_cache: {"LARGE": 0, "_READ": 150},
        delimited: {"_ROWS": 3},
        rows: {"_ROWS": 3},
        columnar: {"_ROWS": 3},
    }
    for module, constants in values.items():
        for name, value in constants.items():
            monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(workers, "count", lambda: processes)


def csv(texts=LINES, labels=LABELS, end="\n", sign=","):
    return f"text{sign}label{end}" + "".join(
        f"{text.replace(sign, '')}{sign}{label}{end}" for text, label in zip(texts, labels)
    )


def quoted():
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(QUOTED, LABELS))


def written(folder, name):
    """A file of each kind, and the options that read it."""
    path, options = folder / name, {}
    records = [{"text": text, "label": label} for text, label in zip(LINES, LABELS)]
    contents = {
        "plain.csv": csv().encode(),
        "bom.csv": csv().encode("utf-8-sig"),
        "crlf.csv": csv(end="\r\n").encode(),
        "cr.csv": csv(end="\r").encode(),
        "blank.csv": f"\n\n{csv()}\n\n\r\n".replace("\nthe", "\n\nthe").encode(),
        "bar.csv": csv(sign="|").encode(),
        "quoted.csv": quoted().encode(),
        "excel.csv": b"sep=;\r\n" + csv(end="\r\n", sign=";").encode(),
        "wide.csv": csv().encode("utf-16"),
        "packed.csv.gz": gzip.compress(csv().encode(), mtime=0),
        "a.tsv": csv(sign="\t").encode(),
        "fasttext": "".join(f"__label__{label} {text}\n" for text, label in zip(LINES, LABELS)).encode(),
        "a.jsonl": "".join(json.dumps(record) + "\n" for record in records).encode(),
        "half.jsonl": "".join(json.dumps({**record, "text": f"{record['text']} \ud800"}) + "\n" for record in records).encode(),
        "array.json": json.dumps(records).encode(),
        "lines.json": "".join(json.dumps(record) + "\n" for record in records).encode(),
        "holes.csv": csv([*LINES, " ", "x"], [*LABELS, "good", ""]).encode(),
        "several.csv": csv(labels=[f"{label};{label[0]}" for label in LABELS]).encode(),
        "number.csv": csv(labels=[f"{row}.5" for row in range(60)]).encode(),
        "target.csv": csv(labels=[line[::-1].replace(",", "") for line in LINES]).encode(),
    }
    options = {
        "holes.csv": {"skip_empty": True},
        "several.csv": {"labels": "label"},
        "number.csv": {"number": "label"},
        "target.csv": {"target": "label"},
        "columns.csv": {"text": "a,b"},
    }
    if name == "a.parquet":
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({"text": LINES, "label": LABELS}), path)
    elif name == "columns.csv":
        lines = [f'"{line}",{row},{label}' for row, (line, label) in enumerate(zip(LINES, LABELS))]
        write(path, "\n".join(["a,b,label", *lines]))
    else:
        path.write_bytes(contents[name])
    return build("files", train=path, **options.get(name, {})).resolved


NAMES = ["plain.csv", "bom.csv", "crlf.csv", "cr.csv", "blank.csv", "bar.csv", "quoted.csv", "excel.csv", "wide.csv"]
NAMES += ["packed.csv.gz", "a.tsv", "fasttext", "a.jsonl", "half.jsonl", "array.json", "lines.json", "holes.csv"]
NAMES += ["several.csv", "number.csv", "target.csv", "columns.csv", "a.parquet"]


def everything(data):
    """What is loaded, as plain values."""
    array = lambda one: None if one is None else np.asarray(one).tolist()
    encoded = lambda one: [array(each) for each in (one.flat, one.offsets, one.labels, one.segments, one.truncated, one.wanted)]
    return {
        **{
            name: getattr(data, name)
            for name in ("vocab_size", "classes", "rules", "baselines", "notes", "hashes", "statistics")
        },
        "vocabulary": list(data.tokenizer.vocabulary(data.tokenizer_state)),
        "splits": {name: encoded(each) for name, each in data.splits.items()},
        "targets": {name: encoded(each.targets) for name, each in data.splits.items() if each.targets is not None},
        "texts": {name: list(each) for name, each in data.texts.items()},
        "seen": {name: each.tolist() for name, each in data.seen.items()},
    }


def load(spec, folder, tokenizer="words", **options):
    options = {"max_length": 200, "truncate": "head", "seed": 1, **options}
    return dataset.load(spec, tokenizer, cache_dir=folder, **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_large_file_gives_what_a_small_one_gives(tmp_path, monkeypatch, name):
    spec = written(tmp_path, name)
    whole = everything(load(spec, tmp_path / "small"))
    small(monkeypatch)
    assert everything(load(spec, tmp_path / "large")) == whole
    assert everything(load(spec, tmp_path / "large")) == whole  # as it was kept


@pytest.mark.parametrize(
    "options",
    [
        *({"tokenizer": each} for each in ("characters", "bytes", "bpe(size=300)", "words(ngrams=2)", "words(min_count=3)")),
        *({"max_length": most, "truncate": each} for each in ("head", "tail", "middle") for most in (1, 4, 5)),
        {"segments": "sentences", "max_length": 5},
        {"windows": "packed", "max_length": 16},
    ],
)
def test_however_texts_become_tokens(tmp_path, monkeypatch, options):
    spec = written(tmp_path, "quoted.csv")
    whole = everything(load(spec, tmp_path / "small", **options))
    small(monkeypatch)
    assert everything(load(spec, tmp_path / "large", **options)) == whole


def test_several_processes_give_what_one_gives(tmp_path, monkeypatch):
    spec = written(tmp_path, "quoted.csv")
    asked = [{"max_length": 5, "truncate": "middle"}, {"tokenizer": "bpe(size=300)"}]
    whole = [everything(load(spec, tmp_path / "small", **options)) for options in asked]
    small(monkeypatch, processes=2)
    with workers.kept():
        workers.expect(1)
        assert [everything(load(spec, tmp_path / "large", **options)) for options in asked] == whole
    assert not workers._idle


@pytest.mark.parametrize(
    "content",
    [
        csv() + "a\0b,good\n",
        csv() + "a,b,c\n",
        csv() + "a\n",
        csv() + '"ab"c,good\nx,bad\n',
        csv() + '"never closed,good\nx,bad\n',
        csv() + '"open,good\nabc,good\ndef,bad\nx",bad\n' + csv()[11:],
        csv() + '"open,other\nabc,good\nx",bad\n' + csv()[11:],
        csv() + " ,good\n",
        csv() + "nan,good\n",
        '"te"xt,label\n' * 9,
        "text,label\n",
        "\n \n" * 9,
        "",
        csv().replace("label", "lable", 1),
        "text,label\nonly one,good\n",
    ],
)
def test_what_is_wrong_with_a_large_file_is_said_as_of_a_small_one(tmp_path, monkeypatch, content):
    path = write(tmp_path / "a.csv", content)

    def said():
        try:
            return build("files", train=path).load(0).notes
        except ValueError as error:
            return type(error), str(error)

    whole = said()
    small(monkeypatch)
    assert said() == whole


def test_bytes_that_are_no_text_are_said_with_their_line(tmp_path, monkeypatch):
    small(monkeypatch)
    (tmp_path / "a.csv").write_bytes(csv().encode() + b"caf\xe9,good\n")
    assert "line 62: byte 0xe9 is not UTF-8" in error_of(lambda: build("files", train=tmp_path / "a.csv").load(0))
    assert build("files", train=tmp_path / "a.csv", encoding="latin-1").load(0).splits["train"].texts


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path, monkeypatch):
    small(monkeypatch)
    path = write(tmp_path / "a.csv", csv())
    for change in (lambda: os.utime(path, ns=(1, 1)), lambda: path.write_bytes(csv().encode()[:200])):
        content = file_text.large(path)
        read = content.lines(newline="")
        next(read)
        change()
        assert "a.csv has changed while it was read" in error_of(functools.partial(list, read))


def test_reading_says_how_far_it_is(tmp_path, monkeypatch):
    small(monkeypatch)
    path, said = write(tmp_path / "a.csv", csv()), []
    add = texts.Collected.add
    monkeypatch.setattr(texts.Collected, "add", lambda self, some: said.extend(heartbeat.under_way()) or add(self, some))
    tables.read(path, text="text", label="label")
    shares = [int(line.split(", ")[1].split(" %")[0]) for line in said if " %" in line]
    assert shares == sorted(shares)
    assert shares[-1] > 80


def test_texts_stay_in_their_file_and_are_read_from_there(tmp_path, monkeypatch):
    small(monkeypatch)
    table = tables.read(write(tmp_path / "a.csv", csv()), text="text", label="label")
    wanted = [line.replace(",", "") for line in LINES]
    assert isinstance(table.texts, texts.FileTexts)
    assert list(table.texts) == wanted
    assert [table.texts[5], table.texts[-1]] == [wanted[5], wanted[-1]]
    assert list(table.texts[3:9]) == wanted[3:9]
    assert list(texts.take(table.texts, np.arange(0, 60, 7))) == wanted[::7]
    assert list(table.labels) == LABELS
    assert table.place(59) == f"{tmp_path}/a.csv, line 61"


def test_no_room_for_texts_is_said(tmp_path, monkeypatch):
    small(monkeypatch)

    def full(handle, content, offset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    said = error_of(lambda: tables.read(write(tmp_path / "a.csv", csv()), text="text", label="label"))
    assert "cannot be written (No space left on device)" in said
    assert "TMPDIR names another folder" in said


# ---- the same texts


@given(st.lists(st.sampled_from(["a b", "A  b", "a", "b", "é", "É ", "c"])))
def test_texts_that_are_the_same_stand_together(given):
    found: dict[str, list[int]] = {}
    for row, text in enumerate(given):
        found.setdefault(repeats.normal_form(text), []).append(row)
    groups = repeats.together(given)
    assert [groups[number].tolist() for number in range(len(groups))] == list(found.values())
    assert groups.firsts.tolist() == [group[0] for group in found.values()]
    assert groups.sizes.tolist() == [len(group) for group in found.values()]


# ---- processes


def work(how):
    """What processes do here."""

    def do(first, texts):
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "told to stop":  # as a terminal tells all of its processes, and a scheduler all of a job
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        if how == "refused":
            raise ValueError(f"text {first} is odd")
        if how == "wrong":
            raise KeyError("a fault")
        print("what is printed is no answer")
        return {"first": first}, [np.array([len(text) for text in texts])]

    return do


def many(tmp_path):
    path = write(tmp_path / "many.csv", csv())
    return tables.read(path, text="text", label="label").texts


@pytest.mark.parametrize("how", ["well", "told to stop"])
def test_answers_come_in_order_and_say_how_far_they_are(tmp_path, monkeypatch, capfd, how):
    small(monkeypatch, processes=2)
    found, shares = [], []
    for done in workers.each(many(tmp_path), "measuring", "tests.data.test_texts:work", {"how": how}):
        assert done.told["first"] == done.first
        found += done.arrays[0].tolist()
        shares.append(heartbeat.under_way())
    assert found == [len(line.replace(",", "")) for line in LINES]
    assert "measuring" in shares[0][0]
    assert "%" in shares[-1][0]
    assert not workers._idle
    assert capfd.readouterr().out == ""


def test_a_process_that_starts_hears_of_no_signal(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(workers, "_CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGINT);" + workers._CHILD)
    small(monkeypatch, processes=2)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert list(workers.each(many(tmp_path), "measuring", "tests.data.test_texts:work", {"how": "well"}))
    assert capfd.readouterr().err.count("Traceback") == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("killed", TryAgainError, r"a process that reads texts was killed by signal 9; where memory ran out"),
        ("refused", ValueError, r"text 0 is odd"),
        ("wrong", RuntimeError, r"KeyError: 'a fault'"),
    ],
)
def test_a_process_that_fails_says_why_and_leaves_none_behind(tmp_path, monkeypatch, how, kind, said):
    small(monkeypatch, processes=2)
    started = []
    monkeypatch.setattr(workers, "_taken", lambda: started.append(workers._Process()) or started[-1])
    with pytest.raises(kind, match=said):
        list(workers.each(many(tmp_path), "trying", "tests.data.test_texts:work", {"how": how}))
    assert started
    assert all(process._process.poll() is not None for process in started)


@pytest.mark.parametrize("name", ["plain.csv", "a.tsv", "a.jsonl"])
def test_what_may_work_later_is_said_as_that_by_a_source(tmp_path, monkeypatch, name):
    small(monkeypatch, processes=2)
    spec = written(tmp_path, name)
    monkeypatch.setattr(workers, "_CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(TryAgainError, match="killed by signal 9"):
        load(spec, tmp_path / "cache")


def test_a_process_whose_asker_is_gone_ends_without_a_word(capfd):
    process = workers._Process()
    process._of.close()
    process.send([json.dumps(["tests.data.test_texts:work", {"how": "well"}]).encode()])
    process.send([workers._SIZE.pack(0), np.array([[0, 1]], "<i8").tobytes(), b"a"])
    assert process._process.wait() == 1
    process.stop()
    assert "Traceback" not in capfd.readouterr().err


def test_a_path_of_imports_may_hold_what_is_none(tmp_path, monkeypatch):
    small(monkeypatch, processes=2)
    monkeypatch.setattr(sys, "path", [tmp_path, *sys.path])
    assert list(workers.each(many(tmp_path), "measuring", "tests.data.test_texts:work", {"how": "well"}))


# ---- what is kept


def test_a_large_file_is_taken_apart_once(tmp_path, monkeypatch):
    small(monkeypatch)
    spec = written(tmp_path, "quoted.csv")
    first = everything(load(spec, tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setattr(tables, "read", lambda *given, **options: pytest.fail("read again"))
        assert everything(load(spec, tmp_path / "cache")) == first
    write(tmp_path / "quoted.csv", quoted().replace("Cat", "Cow"))
    assert load(spec, tmp_path / "cache").hashes != first["hashes"]
    (tmp_path / "quoted.csv").unlink()
    assert "there is no file" in error_of(lambda: load(spec, tmp_path / "cache"))


def test_a_file_that_comes_to_a_folder_is_read(tmp_path, monkeypatch):
    small(monkeypatch)
    write(tmp_path / "one.csv", csv())
    read = lambda: load(f"files(train='{tmp_path}/*.csv')", tmp_path / "cache").statistics["train"]["examples"]
    before = read()
    write(tmp_path / "two.csv", csv([f"{line} more" for line in LINES]))
    assert read() > 1.8 * before


def test_what_was_kept_and_is_damaged_is_named_and_made_again(tmp_path, monkeypatch):
    small(monkeypatch)
    spec = written(tmp_path, "plain.csv")
    first = everything(load(spec, tmp_path / "cache"))
    for path in (tmp_path / "cache/tokens").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    again = load(spec, tmp_path / "cache")
    assert sum("made again" in note for note in again.notes) == len(list((tmp_path / "cache/tokens").iterdir()))
    assert everything(load(spec, tmp_path / "cache")) == first


def test_what_changes_while_it_is_loaded_is_not_kept(tmp_path, monkeypatch):
    small(monkeypatch)
    spec, read = written(tmp_path, "plain.csv"), tables.read

    def meanwhile(*given, **options):
        table = read(*given, **options)
        os.utime(tmp_path / "plain.csv", ns=(1, 1))
        return table

    monkeypatch.setattr(tables, "read", meanwhile)
    load(spec, tmp_path / "cache")
    kept = len(list((tmp_path / "cache/tokens").iterdir()))
    monkeypatch.setattr(tables, "read", read)
    load(spec, tmp_path / "cache")
    assert len(list((tmp_path / "cache/tokens").iterdir())) == kept + 1
