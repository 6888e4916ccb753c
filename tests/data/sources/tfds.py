"""Evidence of TFDS data sets, small ones prepared here."""

import json
import os
import shutil
import sys

import numpy as np
import pytest

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import baselines, build, contents, error_of, write


def prepare(folder):
    """ClassLabel and an unlabelled test in parquet, string and integer labels in array_record."""
    import tensorflow_datasets as tfds

    from attention.data.sources import _tfds_cache

    class Base(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def __init__(self, name, features, rows, folder, file_format):
            self.name, self.wanted, self.rows = name, features, rows
            super().__init__(data_dir=str(folder), file_format=file_format)

        def _info(self):
            features = tfds.features.FeaturesDict(self.wanted)
            return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(rows) for split, rows in self.rows.items()}

        def _generate_examples(self, rows):
            yield from enumerate(rows)

    text, label = tfds.features.Text(), tfds.features.ClassLabel(names=["no", "yes"])
    row = lambda word, n, label: {"sentence": f"{word} {n}", "title": f"{word}, {n}", "label": label, "mark": (n // 2) % 2}
    rows = {
        "train": [row("caf\u00e9", n, n % 2) for n in range(20)],
        "more": [row("more", n, n % 2) for n in range(8)],
        "test": [row("new", n, -1) for n in range(5)],
    }
    poured = {**rows, "train": [row("tea", n, n % 2) for n in range(20)]}
    named = {
        "train": [{"nested": {"text": f"a {n}"}, "label": "xyz"[n % 3], "other": n} for n in range(30)],
        "validation": [{"nested": {"text": f"b {n}"}, "label": "x", "other": 29 - n} for n in range(4)],
    }
    glued = {"sentence": text, "title": text, "label": label, "mark": tfds.features.Scalar(dtype=np.int64)}
    features = {"nested": {"text": text}, "label": tfds.features.Text(), "other": tfds.features.Scalar(dtype=np.int64)}
    with _tfds_cache.quiet():
        Base("glued", glued, rows, folder, "parquet").download_and_prepare()
        Base("poured", glued, poured, folder, "array_record").download_and_prepare()
        Base("named", features, named, folder, "array_record").download_and_prepare()


SPEC = "tfds(name=poured, text=sentence, data_dir='$FOLDER')"
OPTIONS = {
    "name": "glued",
    "text": "title",
    "label": "mark",
    "train": "'train[:50%]'",
    "validation": "more",
    "test": "more",
    "data_dir": "'$FOLDER/other'",
    "validation_share": "0.25",
}
ERRORS = {f"tfds(name=x, validation_share={share})": "between 0 and 1" for share in (0.0, 1.0, -0.5)}
ROW = Row(SPEC, OPTIONS, SourceEvidence((SourceCase(SPEC),), prepare, errors=ERRORS))


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    prepare(folder)
    return folder


def test_parquet_with_an_unlabelled_test(tfds_dir):
    corpus = build("tfds", name="glued", text="sentence", data_dir=tfds_dir).load(0)
    assert corpus.classes == ("no", "yes")
    assert corpus.splits["test"].labels is None
    assert list(corpus.splits["test"].texts) == [f"new {n}" for n in range(5)]
    assert sorted(corpus.splits["train"].texts + corpus.splits["validation"].texts) == sorted(
        f"caf\u00e9 {n}" for n in range(20)
    )
    assert baselines(corpus, "validation") == {"majority": 0.5}
    assert baselines(corpus) == {}
    assert corpus.resolved == f"tfds(name='glued', text='sentence', data_dir='{tfds_dir}')"
    assert "tensorflow" not in sys.modules


def test_nested_features_string_labels_and_slices(tfds_dir):
    source = build("tfds", name="named", text="nested/text", data_dir=tfds_dir, train="train[:50%]", test="train[50%:]")
    corpus = source.load(0)
    assert corpus.classes == ("x", "y", "z")
    assert contents(corpus)["train"] == ([f"a {n}" for n in range(15)], [n % 3 for n in range(15)])
    assert contents(corpus)["test"][0] == [f"a {n}" for n in range(15, 30)]
    assert contents(corpus)["validation"] == ([f"b {n}" for n in range(4)], [0] * 4)
    assert corpus.notes == ()
    numbered = build("tfds", name="named", text="nested/text", label="other", data_dir=tfds_dir).load(0)
    assert numbered.classes == tuple(str(n) for n in range(30))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (dict(name="glued"), "glued: there is no feature 'text'"),
        (dict(name="glued", text="sentnce"), "(nearest: 'sentence'); features: "),
        (dict(name="glued", text="label"), "the feature 'label' is not one text per example"),
        (dict(name="glued", text="sentence", label="lable"), "no feature 'lable' (nearest: 'label')"),
        (dict(name="glued", text="sentence", test="tset"), "there is no split 'tset' (nearest: 'test'); splits: "),
        (dict(name="glued", text="sentence", validation="test"), "the validation split has no labels"),
        (dict(name="named", text="nested/text", train="validation", validation="train"), "'y' does not occur in training"),
        (dict(name="glude"), "glude: not prepared in "),
        (dict(name="glude"), "(nearest: 'glued'); if the name is right, run `pip install tensorflow`"),
        (dict(name="glue/sst2"), "pip install tensorflow"),
    ],
)
def test_errors_are_one_line(tfds_dir, options, wanted):
    assert wanted in error_of(lambda: build("tfds", data_dir=tfds_dir, **options).load(0))


def test_says_where_tensorflow_is_needed(tfds_dir, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def needs_tensorflow(self, **options):
        raise ImportError("No module named 'tensorflow'", name="tensorflow")

    def offline(self, **options):
        raise ConnectionError("no route to host")

    for failure, wanted in ((needs_tensorflow, "pip install tensorflow"), (offline, "no route to host")):
        monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", failure)
        assert wanted in error_of(lambda: build("tfds", name="imdb_reviews", data_dir=tmp_path).load(0))
    path = tfds_dir / "glued" / "1.0.0" / "dataset_info.json"
    copy = tmp_path / "glued" / "1.0.0"
    copy.mkdir(parents=True)
    write(copy / "dataset_info.json", path.read_text().replace('"parquet"', '"tfrecord"'))
    write(copy / "features.json", (path.parent / "features.json").read_text())
    message = error_of(lambda: build("tfds", name="glued", text="sentence", data_dir=tmp_path).load(0))
    assert "as tfrecord, which cannot be read without TensorFlow" in message


def test_slices_of_parquet_are_refused(tfds_dir):
    """TFDS would give the whole split."""
    options = dict(name="glued", text="sentence", data_dir=tfds_dir, train="train[:50%]")
    assert "reads none of a set in parquet" in error_of(lambda: build("tfds", **options).load(0))


OWN = "tensorflow_datasets.core.features."
TEXT = {"pythonClassName": OWN + "text_feature.Text", "text": {"shape": {}, "dtype": "string", "encoding": "none"}}


def nested(inner):
    """A feature two levels down, as protobuf writes it."""
    row = {"pythonClassName": OWN + "features_dict.FeaturesDict", "featuresDict": {"features": {"inner": inner}}}
    return {"pythonClassName": OWN + "sequence_feature.Sequence", "sequence": {"feature": row, "length": "-1"}}


HOSTILE = {
    "deep": nested({"pythonClassName": "hostile_payload.Feature", "jsonFeature": {"json": "{}"}}),
    "snake": nested({"python_class_name": "hostile_payload.Feature", "json_feature": {"json": "{}"}}),
    "text": nested(
        {
            "pythonClassName": OWN + "sequence_feature.Sequence",
            "jsonFeature": {"json": '{"feature": {"type": "hostile_payload.Feature", "content": {}}, "length": 1}'},
        }
    ),
    "legacy": {"type": "hostile_payload.Feature", "content": {}},
    "script": {"pythonClassName": "tensorflow_datasets.scripts.cli.main.Feature", "jsonFeature": {"json": "{}"}},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_set_runs_no_code_of_its_own(tfds_dir, tmp_path, monkeypatch, kind):
    """TFDS imports the class that a feature names; the module lies where Python would find it."""
    copy = shutil.copytree(tfds_dir / "poured", tmp_path / "poured")
    write(tmp_path / "hostile_payload.py", f"open({str(tmp_path / 'executed')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    (path,) = copy.glob("*/features.json")
    stored = json.loads(path.read_text())
    if kind == "legacy":
        stored = {"type": OWN + "features_dict.FeaturesDict", "content": {"sentence": HOSTILE[kind]}}
    else:
        stored["featuresDict"]["features"]["other"] = HOSTILE[kind]
    write(path, json.dumps(stored))
    message = error_of(lambda: build("tfds", name="poured", text="sentence", data_dir=tmp_path).load(0))
    assert "not TFDS's own" in message
    assert not (tmp_path / "executed").exists()
    assert "hostile_payload" not in sys.modules
    assert "tensorflow_datasets.scripts.cli.main" not in sys.modules


def test_what_dataset_info_names_is_not_imported(tfds_dir, tmp_path, monkeypatch):
    copy = shutil.copytree(tfds_dir / "poured", tmp_path / "poured")
    write(tmp_path / "hostile_payload.py", f"open({str(tmp_path / 'executed')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    (path,) = copy.glob("*/dataset_info.json")
    write(path, json.dumps({**json.loads(path.read_text()), "moduleName": "hostile_payload"}))
    build("tfds", name="poured", text="sentence", data_dir=tmp_path).load(0)
    assert not (tmp_path / "executed").exists()


def test_what_is_no_regular_file_is_not_read(tfds_dir, tmp_path):
    copy = shutil.copytree(tfds_dir / "poured", tmp_path / "poured")
    for path in copy.rglob("*.*"):
        if path.is_file():
            path.rename(tmp_path / "aside")
            os.mkfifo(path)
            message = error_of(lambda: build("tfds", name="poured", text="sentence", data_dir=tmp_path).load(0))
            assert f"{path} is no regular file" in message
            path.unlink()
            (tmp_path / "aside").rename(path)


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "\ud800"])
def test_features_that_are_no_json(tfds_dir, tmp_path, content):
    copy = shutil.copytree(tfds_dir / "poured", tmp_path / "poured")
    (path,) = copy.glob("*/features.json")
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert "is not JSON" in error_of(lambda: build("tfds", name="poured", text="sentence", data_dir=tmp_path).load(0))


@pytest.mark.parametrize("name", ["huggingface:x", "kaggle:x", "x/data_dir=/tmp", "../x", "x/y/z=1"])
def test_names_that_would_run_other_code(tmp_path, name):
    assert "without a namespace" in error_of(lambda: build("tfds", name=name, data_dir=tmp_path).load(0))
