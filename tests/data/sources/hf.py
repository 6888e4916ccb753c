"""Evidence of sets of the datasets library; what needs it runs in ``tests/plugs/test_hf.py``."""

import sys

import pytest

from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import build


def prepare(folder):
    """What ``save_to_disk`` writes of splits with a ClassLabel and an unlabelled test, and a folder of Parquet files."""
    import datasets

    features = {"text": datasets.Value("string"), "title": datasets.Value("string"), "mark": datasets.Value("bool")}
    marks = datasets.ClassLabel(names=["no", "yes"])
    features |= {"label": marks, "all": datasets.Sequence(marks), "score": datasets.Value("float32")}
    features = datasets.Features(features)

    def rows(word, count, label=None):
        made = {"text": [f"{word} {n}" for n in range(count)], "title": [f"{word}, {n}" for n in range(count)]}
        made |= {"mark": [n % 4 > 1 for n in range(count)], "label": [n % 2 if label is None else label for n in range(count)]}
        made |= {"all": [[0, 1][: n % 3] for n in range(count)], "score": [n / 2 for n in range(count)]}
        return datasets.Dataset.from_dict(made, features=features)

    splits = datasets.DatasetDict({"train": rows("café", 20), "more": rows("more", 8), "test": rows("new", 5, label=-1)})
    splits.save_to_disk(folder / "saved")
    for name in ("saved_holes", "parquet/one", "parquet/two"):
        (folder / name).mkdir(parents=True)
    train = rows("tea", 20)
    train.map(lambda row, n: {"text": row["text"] if n else None}, with_indices=True).save_to_disk(folder / "saved_holes")
    for split, made in splits.items():
        made.to_parquet(folder / "parquet" / "one" / f"{split}-00000-of-00001.parquet")
    train.to_parquet(folder / "parquet" / "two" / "train.parquet")
    configs = [f"- config_name: {name}\n  data_dir: {place}" for name, place in (("first", "one"), ("other", "two"))]
    (folder / "parquet" / "README.md").write_text("\n".join(["---", "configs:", *configs, "---", ""]))


SPEC = "hf(path='$FOLDER/saved')"
OPTIONS = {
    "path": "'$FOLDER/parquet', name=other",
    "name": ("other, path='$FOLDER/parquet'", "first, path='$FOLDER/parquet'"),
    "text": ("title", "('title', 'text')"),
    "label": "mark",
    "labels": "all",
    "number": "score",
    "target": "title",
    "train": "'train[:50%]'",
    "validation": "more",
    "test": "more",
    "revision": "main",
    "skip_empty": "True, path='$FOLDER/saved_holes'",
    "validation_share": "0.25",
}
ERRORS = {
    **{f"hf(path='a', validation_share={share})": "between 0 and 1" for share in (0.0, 1.0, -0.5)},
    "hf(path='a', text=x, label=x)": "give two columns",
}
PLACES = ("path", "revision")  # a commit of a set on the hub, which no test reaches
ROW = Row(SPEC, OPTIONS, SourceEvidence((SourceCase(SPEC),), prepare, places=PLACES, needs="datasets", errors=ERRORS))


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"^module datasets is not installed: pip install '.*\[hf\]'$"):
        build("hf", path=tmp_path).load(0)
