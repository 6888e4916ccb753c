"""What eval.py writes is never what it or a run reads, and what it prints of long or odd names stays short and plain."""

import os

import pytest

from attention.commands import eval as entry
from attention.runs import json_files
from attention.training import command_line, config, loop
from tests.support import toy


@pytest.fixture
def evaluated(tmp_path, monkeypatch, capsys):
    """``evaluated(*flags)``: exit code, stdout and stderr of eval.py on a run of a moment, whose folder is ``tmp_path``."""
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    source = toy.write_data(tmp_path)
    (tmp_path / "train.tsv").write_text((tmp_path / "train.tsv").read_text().replace("fruit", LONG))
    for name in ("validation", "test"):
        (tmp_path / f"{name}.tsv").write_text((tmp_path / f"{name}.tsv").read_text().replace("fruit", LONG))
    loop.train(config.from_dict(toy.fields(source, steps=2, warmup=1, eval_every=2)), tmp_path / "run")

    def evaluated(*flags):
        capsys.readouterr()
        code = command_line.run_main(entry.main, ["eval.py", f"--workdir={tmp_path}/run", *flags])
        return (code, *capsys.readouterr())

    return evaluated


LONG = "f" * 5000


def test_what_is_read_is_not_written_over(tmp_path, evaluated):
    toy.write_split(tmp_path / "more.tsv", 9, 5, labelled=False)
    os.link(tmp_path / "more.tsv", tmp_path / "linked.tsv")
    (tmp_path / "other.tsv").write_text((tmp_path / "test.tsv").read_text())
    other = "--data=files(train='train.tsv', validation='other.tsv', test='test.tsv')"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file() and path.suffix in (".tsv", ".jsonl")}
    for flags in (
        ("--data=more.tsv", "--out=more.tsv"),
        ("--data=more.tsv", f"--out={tmp_path}/run/../linked.tsv"),
        ("--data=more.tsv", "--out=train.tsv"),
        ("--out=test.tsv",),
        ("--text=oslo", "--out=validation.tsv"),
        (other, "--out=other.tsv"),
    ):
        code, out, err = evaluated(*flags)
        assert (code, out) == (2, "")
        assert "which is read; give another name" in err
    code, _, err = evaluated("--out=run/metrics.jsonl")
    assert (code, "--out=run/metrics.jsonl is a file of the run" in err) == (2, True)
    assert before == {path: path.read_bytes() for path in before}
    assert evaluated("--data=more.tsv", "--out=run/new.tsv")[0] == 0
    assert evaluated("--data=more.tsv", "--out=run/new.tsv")[0] == 0  # what it wrote itself it writes again


def test_a_file_to_score_is_a_regular_one(tmp_path, evaluated):
    os.mkfifo(tmp_path / "fifo.csv")
    code, _, err = evaluated("--data=fifo.csv")
    assert (code, err.splitlines()[-1]) == (2, "error: fifo.csv is no regular file")


def test_names_of_classes_are_printed_short(tmp_path, evaluated):
    for flags in ((), ("--text=oslo\x1b[31m",)):
        code, out, _ = evaluated(*flags)
        assert code == 0
        assert "fff" in out
        for line in out.splitlines():
            assert len(line) <= 500
            assert line.isprintable()


def test_an_odd_result_is_one_line(tmp_path, evaluated, capsys):
    from attention.commands import train

    path = tmp_path / "run" / "result.json"
    stored = json_files.read(path)
    for damage in ({"members": []}, {"summary": 5}):
        json_files.write(path, {**stored, **damage})
        assert command_line.run_main(train.main, ["train.py", f"--workdir={tmp_path}/run"]) == 2
        assert capsys.readouterr().err.startswith(f"error: {path} is not what training writes")
