"""A run directory from somebody else: sizes that it only claims, JSON without end, links, and numbers that no run has."""

import io
import json
import os
import shutil
import zipfile

import numpy as np
import pytest

from attention import evaluation
from attention.runs import json_files
from attention.runs.directory import DataRecord, RunDirectory
from attention.training import config, loop


def archive(shape, body, dtype="<f4", packed=zipfile.ZIP_STORED):
    """An .npz file of one array whose header says what it is told to."""
    header, whole = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(whole, "w", packed) as entries:
        entries.writestr("a.npy", header.getvalue() + body)
    return whole


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (archive((10**12,), b"0" * 64), r"says it is float32\[1000000000000\], in 192 bytes"),
        (archive((2**62, 4), b"0" * 64), "says it is float32"),
        (archive((-1,), b"0" * 64), "says it is float32"),
        (archive((8,), b"0" * 64, dtype="|O"), "array of object, wanted numbers"),
        (archive((10**8,), bytes(10**8), "|i1", zipfile.ZIP_DEFLATED), "unpacks to far more"),
        (io.BytesIO(b"PK"), "not a zip file"),
    ],
)
def test_claims_of_an_archive_are_checked_before_memory_is_taken(tmp_path, made, message):
    run = RunDirectory(tmp_path)
    run.predictions.write_bytes(made.getvalue())
    with pytest.raises(ValueError, match=message) as error:
        run.read_predictions()
    assert str(run.predictions) in str(error.value)


def test_any_flipped_byte_of_predictions_is_read_or_one_error(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_predictions([{"correct": np.arange(40) % 3 == 0, "label": np.arange(40)}])
    whole = run.predictions.read_bytes()
    for place in range(0, len(whole), 3):
        run.predictions.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            run.read_predictions()
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017 (not every flip is noticed)


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 65 + "]" * 65, '{"a":' * 100_000])
def test_deep_json_is_one_error(tmp_path, text):
    run = RunDirectory(tmp_path)
    for path, read in ((run.config, run.read_config), (run.data, run.read_data), (run.result, run.read_result)):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"is not JSON \(nested"):
            read()
    run.result.unlink()
    run.metrics.write_text(text + "\n")
    with pytest.raises(ValueError, match="line 1, is not JSON"):
        run.read_metrics()


BASELINES = {"train": {"examples": 9, "baselines": {"majority": 0.5}}}
RECORD = DataRecord("listops", {"train": "0"}, ("a",), 5, (8, 16), {"majority": {"": 0}}, BASELINES, ("a note",))


@pytest.mark.parametrize(
    "damage",
    [
        {"source": 5},
        {"hashes": [1]},
        {"classes": 5},
        {"vocab_size": "5"},
        {"vocab_size": 0},
        {"rules": {"majority": 0}},
        {"rules": {"majority": {"": "x"}}},
        {"splits": {"train": 5}},
        {"splits": {"train": {"baselines": {"majority": "x"}}}},
        {"splits": {"train": {"examples": "x"}}},
        {"splits": {"train": {"tokens": 5}}},
        {"notes": "x"},
        {"notes": [5]},
        {"bucket_lengths": []},
        {"bucket_lengths": [16, 8]},
        {"bucket_lengths": ["8"]},
    ],
)
def test_fields_of_the_data_record_are_what_training_writes(tmp_path, damage):
    run = RunDirectory(tmp_path)
    run.write_data(RECORD)
    assert run.read_data() == RECORD
    json_files.write(run.data, {**json_files.read(run.data), **damage})
    with pytest.raises(ValueError, match=f"data.json: {next(iter(damage))} is not what training writes"):
        run.read_data()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two updates."""
    folder = tmp_path_factory.mktemp("hostile")
    source = f"listops(train=64, validation=16, test=16, max_length=16, data_dir='{folder}/data')"
    settings = config.from_dict(
        {
            "data": {"source": source, "max_length": 16},
            "model": {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8},
            "training": {"steps": 2, "warmup": 1, "batch_size": 8, "eval_every": 2},
        }
    )
    loop.train(settings, folder / "run")
    return folder / "run"


@pytest.mark.parametrize(
    ("file", "section", "field", "value", "message"),
    [
        ("config", "model", "dim", 10**9, r"config.model.dim wants a number in \[1, 2\*\*20\]"),
        ("config", "data", "max_length", 10**9, "config.data.max_length wants a number"),
        ("config", "training", "batch_size", 10**9, "config.training.batch_size wants a number"),
        ("config", "model", "encoder", "transformer(layers=1000000000)", "layers=1000000000 in .* is more than such a run has"),
        ("config", "model", "encoding", "randomized(inner=alibi(), max_position=1000000000)", "max_position=1000000000 in"),
        ("data", None, "source", "listops(train=1000000000000)", "train=1000000000000 in"),
        ("data", None, "bucket_lengths", [10**9], "a padded length of 1000000000, where texts have 16 tokens at most"),
        ("data", None, "vocab_size", 10**12, "says 1000000000000 tokens, the tokenizer beside it has"),
    ],
)
def test_numbers_that_no_run_has(whole, tmp_path, file, section, field, value, message):
    copy = shutil.copytree(whole, tmp_path / "run")
    stored = json_files.read(copy / f"{file}.json")
    (stored if section is None else stored[section])[field] = value
    json_files.write(copy / f"{file}.json", stored)
    (copy / "identity.json").unlink()  # which a hostile run has to its taste, or not at all
    with pytest.raises(ValueError, match=message) as error:
        evaluation.load(str(copy))
    assert "\n" not in str(error.value)


def test_paths_that_lead_outside_are_shown(whole, tmp_path):
    copy = shutil.copytree(whole, tmp_path / "run")
    run = RunDirectory(copy)
    assert run.outside() == []
    os.rename(copy / "tokenizer", tmp_path / "elsewhere")
    (copy / "tokenizer").symlink_to(tmp_path / "elsewhere")
    named = "files(train='/etc/passwd', text=a) + trec6(mirror='http://127.0.0.1')"
    assert run.outside(named) == [f"{copy}/tokenizer -> {tmp_path}/elsewhere", "/etc/passwd", "http://127.0.0.1"]


@pytest.mark.parametrize("number", ["2", None, 99, [2], 1e30])
def test_a_format_of_no_version(tmp_path, number):
    run = RunDirectory(tmp_path)
    run.write_data(RECORD)
    run.data.write_text(json.dumps({**json_files.read(run.data), "format": number}))
    with pytest.raises(ValueError, match=r"data.json has format"):
        run.read_data()


def read_whole(run):
    evaluation.load(str(run.path))
    run.read_identity()
    run.read_metrics()


@pytest.mark.parametrize("made", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_regular_file_is_not_opened(whole, tmp_path, made):
    names = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    read = {"config.json", "identity.json", "data.json", "result.json", "metrics.jsonl", "arrays.npz", "manifest.json"}
    tokenizer = {path.name for path in (whole / "tokenizer").iterdir()}
    for number, name in enumerate(each for each in names if each.name in read | tokenizer and "step-" not in str(each)):
        run = RunDirectory(shutil.copytree(whole, tmp_path / str(number)))
        (run.path / name).unlink()
        made(run.path / name)
        with pytest.raises(ValueError, match=r"is no regular file|is missing"):
            read_whole(run)


@pytest.mark.parametrize("name", ["metrics", "predictions"])
def test_what_a_run_appends_to_is_a_regular_file(tmp_path, name):
    run = RunDirectory(tmp_path)
    os.mkfifo(getattr(run, name))
    uses = {
        "metrics": (run.read_metrics, run.metrics_size, lambda: run.append_metrics({})),
        "predictions": (run.read_predictions,),
    }
    for use in uses[name]:
        with pytest.raises(ValueError, match="is no regular file"):
            use()
