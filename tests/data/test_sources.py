"""Sources together: what importing them costs, and how a validation split is carved off."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from attention.data.sources import _splits
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


def test_carving_takes_the_share_of_every_class():
    labels = np.array([0] * 100 + [1] * 50 + [2] * 7 + [3])
    kept, carved = _splits.carve(labels, 0.2, seed=3)
    assert sorted([*kept, *carved]) == list(range(len(labels)))
    assert np.bincount(labels[carved], minlength=4).tolist() == [20, 10, 1, 0]
    assert (np.diff(kept) > 0).all()
    assert (np.diff(carved) > 0).all()
    again = _splits.carve(labels, 0.2, seed=3)[1]
    other = _splits.carve(labels, 0.2, seed=4)[1]
    assert carved.tolist() == again.tolist() != other.tolist()


def test_carving_does_not_change_with_numpy_versions_or_platforms():
    assert _splits.carve(np.arange(40) % 2, 0.2, seed=0)[1].tolist() == [13, 14, 15, 22, 23, 26, 33, 34]


def test_carving_draws_every_row_as_often():
    counts = np.zeros(20)
    for seed in range(400):
        counts[_splits.carve(np.arange(20) % 2, 0.5, seed)[1]] += 1
    assert counts.min() > 160
    assert counts.max() < 240


def test_nothing_to_carve_is_an_error():
    assert "less than one row" in error_of(lambda: _splits.carve(np.array([0, 1, 0]), 0.1, 0))


def test_data_dir_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "there"))
    assert _splits.data_folder(None) == tmp_path / "there"
    assert _splits.data_folder(tmp_path) == tmp_path
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _splits.data_folder(None) == tmp_path / "tensorflow_datasets"
