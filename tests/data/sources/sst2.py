"""Evidence of sentences by sentiment."""

import pytest

from attention.data.sources import sst2
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_PLACES, check_published, error_of, labelled_folder, real_data, rows_of


def prepare(folder):
    """It has a validation split of its own."""
    labelled_folder(folder / "sst2", sst2.RECIPE.classes, **{"validation.tsv": rows_of(2, 20)})


SPEC = "sst2(path='$FOLDER/sst2')"
ROW = Row(
    SPEC,
    {**OTHER_PLACES, "phrases": "True, path=None"},
    SourceEvidence((SourceCase(SPEC),), prepare, seeded=False, places=("path", "mirror", "data_dir", "phrases")),
)


@real_data
def test_published_counts():
    counts = {"train": [3310, 3610], "validation": [428, 444], "test": [912, 909]}
    assert not any("the published one" in note for note in check_published("sst2", "sst2", counts, 909 / 1821))


@pytest.mark.parametrize("line", ["(3 (2 It) (4 good)", "(5 It)", "(3)", "(3 a) (2 b)", "word", "(3 a))", "(x y)"])
def test_bad_trees(line):
    assert error_of(lambda: list(sst2.subtrees(line)))
