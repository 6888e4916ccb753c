"""Evidence of questions by what they ask for."""

import numpy as np

from attention.data.sources import trec6
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_PLACES, build, check_published, error_of, labelled_folder, real_data

SPEC = "trec6(path='$FOLDER/trec6')"
ROW = Row(
    SPEC,
    {**OTHER_PLACES, "validation_share": "0.25"},
    SourceEvidence(
        (SourceCase(SPEC),),
        lambda folder: labelled_folder(folder / "trec6", trec6.RECIPE.classes),
        errors={f"trec6(validation_share={share})": "between 0 and 1" for share in (0.0, 1.0, -0.5)},
    ),
)


@real_data
def test_published_counts():
    notes = check_published(
        "trec6", "trec6", {"train": [86, 1162, 1250, 1223, 835, 896], "test": [9, 138, 94, 65, 81, 113]}, 94 / 500
    )
    assert not any("the published one" in note for note in notes)


def folder_of(folder, **files):
    return labelled_folder(folder, trec6.CLASSES, **files)


def folder_error(name, folder):
    return error_of(lambda: build(name, path=folder).load(0))


def test_a_local_folder(tmp_path):
    corpus = build("trec6", path=folder_of(tmp_path / "a"), validation_share=0.25).load(0)
    assert corpus.classes == trec6.CLASSES
    assert np.bincount(corpus.splits["validation"].labels).tolist() == [5] * 6
    assert "test" not in corpus.splits
    assert corpus.resolved == f"trec6(path='{tmp_path / 'a'}', validation_share=0.25)"
    assert "the train split of the folder has 120 rows, the published one 5452" in corpus.notes


def test_a_wrong_folder_says_what_is_missing(tmp_path):
    files = {"train.tsv": None, "train2.tsv": "x"}
    wanted = "wanted: train.tsv[.gz] [validation.tsv[.gz]] [test.tsv[.gz]] labels.txt"
    assert f"lacks train.tsv[.gz]; {wanted}" in folder_error("trec6", folder_of(tmp_path / "a", **files))
    assert f"lacks labels.txt; {wanted}" in folder_error("trec6", folder_of(tmp_path / "b", **{"labels.txt": None}))
    assert "there is no folder" in folder_error("trec6", tmp_path / "trec")
    message = folder_error("sst2", folder_of(tmp_path / "c"))
    assert "has the classes ABBR, DESC" in message
    assert "those of sst2 are negative, positive" in message
    files = {"test.tsv": "text\tlabel\nx\t5\ny\t6\n"}
    assert "test.tsv, line 3: the label '6' is no index into labels.txt, 0 to 5" in folder_error(
        "trec6", folder_of(tmp_path / "d", **files)
    )
    files = {"train.tsv": "text\tlabel\n" + "x\t0\ny\t1\n" * 20, "labels.txt": "negative\npositive\n"}
    assert "there is no validation split" in folder_error("sst2", folder_of(tmp_path / "e", **files))
    assert "downloads nothing" in error_of(lambda: build("trec6", path=tmp_path, mirror="http://localhost"))
    assert "leave out path=" in error_of(lambda: build("sst2", path=tmp_path, phrases=True))
