"""Sources together: what importing them costs, and how a validation split is carved off."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention.data.sources import _carving, _splits
from tests.support.sources import error_of

ROOT = Path(__file__).resolve().parents[2]


def test_sources_import_neither_tfds_nor_jax():
    program = (
        "import sys; from attention import specs;"
        "[specs.module('source', name) for name in specs.names('source')];"
        "print([name for name in ('tensorflow_datasets', 'flax', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_vectors_of_texts_that_are_not_there_are_one_line():
    command = [sys.executable, "-m", "studies.vectors", "--source=files(train='absent.tsv')"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: there is no file ")


def distinct(count):
    return [f"text {number}" for number in range(count)]


def test_carving_takes_the_share_of_every_class():
    labels = np.array([0] * 100 + [1] * 50 + [2] * 7 + [3, 4, 4])
    draw = lambda seed: _carving.carve(distinct(len(labels)), labels, 0.2, seed)
    kept, carved, texts = draw(3)
    assert sorted([*kept, *carved]) == list(range(len(labels)))
    assert np.bincount(labels[carved], minlength=5).tolist() == [20, 10, 1, 0, 1]
    assert texts == len(carved)
    assert (np.diff(kept) > 0).all()
    assert (np.diff(carved) > 0).all()
    assert carved.tolist() == draw(3).taken.tolist() != draw(4).taken.tolist()


def test_carving_does_not_change_with_numpy_versions_or_platforms():
    carved = _carving.carve(distinct(40), np.arange(40) % 2, 0.2, 0).taken
    assert carved.tolist() == [13, 14, 15, 22, 23, 26, 33, 34]


def test_carving_draws_every_row_as_often():
    counts = np.zeros(20)
    for seed in range(400):
        counts[_carving.carve(distinct(20), np.arange(20) % 2, 0.5, seed).taken] += 1
    assert counts.min() > 160
    assert counts.max() < 240


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(0, 3)), min_size=1, max_size=60), st.integers(0, 3))
@settings(deadline=None, max_examples=200)
def test_carving_keeps_repeated_texts_together_and_leaves_every_class_a_row(pairs, seed):
    """Texts repeat, in other letter case too, and have several labels; no text is in both parts, no class is used up."""
    texts = [text if number % 2 else text.upper() for number, (text, _) in enumerate(pairs)]
    labels = np.array([label for _, label in pairs])
    try:
        kept, taken, count = _carving.carve(texts, labels, 0.3, seed)
    except ValueError:
        return
    there, here = ({texts[row].lower() for row in rows} for rows in (kept, taken))
    assert not there & here
    assert len(here) == count > 0
    assert set(labels[kept]) == set(labels)


@pytest.mark.parametrize(("sizes", "share"), [((990, 4, 4, 2), 0.1), ((4,) * 50, 0.1), ((3, 3), 0.01), ((1000, 1), 0.5)])
def test_a_split_carved_off_has_every_class_that_can_give_one(sizes, share):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    carved = np.bincount(labels[_carving.carve(distinct(len(labels)), labels, share, 0).taken], minlength=len(sizes))
    assert carved.tolist() == [min(max(1, round(size * share)), size - 1) for size in sizes]


def test_the_note_of_a_carve_off_is_true():
    labels = np.repeat([0, 1, 2], [600, 59, 1])
    texts = [f"text {number // 2}" for number in range(len(labels))]
    carved = _carving.carve(texts, labels, 0.1, 5)
    rows, different = len(carved.taken), len({texts[row] for row in carved.taken})
    assert _carving.note(carved, labels, ("a", "b", "c\n"), 0.1, 5) == (
        f"there is no validation split: {rows} of 660 training examples, {different} distinct texts, were carved off train"
        f" ({100 * rows / 660:.3g} %, asked were 10 % of each class, seed 5);"
        r" it has none of 1 classes that have too few distinct texts: c\n;"
        " by so few distinct texts little can be told apart; a larger validation_share or a file helps"
    )


def test_a_carve_off_of_few_distinct_texts_is_small():
    labels = np.arange(1000) % 2
    carved = _carving.carve([f"text {number % 20}" for number in range(1000)], labels, 0.1, 0)
    note = _carving.note(carved, labels, ("a", "b"), 0.1, 0)
    assert (len(carved.taken), carved.texts) == (100, 2)
    assert "by so few distinct texts little can be told apart" in note


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_nothing_to_carve_is_an_error(labels):
    same = ["a", "A", " a "] if labels[1] == 0 else ["a", "b", "c"]
    assert "no validation split can be set aside" in error_of(lambda: _carving.carve(same, np.array(labels), 0.1, 0))


def test_data_dir_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "there"))
    assert _splits.data_folder(None) == tmp_path / "there"
    assert _splits.data_folder(tmp_path) == tmp_path
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _splits.data_folder(None) == tmp_path / "tensorflow_datasets"
