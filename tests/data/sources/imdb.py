"""Evidence of reviews by sentiment."""

from attention.data.sources import imdb
from tests.support.archives import tar_gz
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_PLACES, check_published, error_of, labelled_folder, real_data

SPEC = "imdb(path='$FOLDER/imdb')"
ROW = Row(
    SPEC,
    {**OTHER_PLACES, "validation_share": "0.25"},
    SourceEvidence(
        (SourceCase(SPEC),),
        lambda folder: labelled_folder(folder / "imdb", imdb.RECIPE.classes),
        errors={f"imdb(validation_share={share})": "between 0 and 1" for share in (0.0, 1.0, -0.5)},
    ),
)


@real_data
def test_published_counts():
    notes = check_published("imdb", "imdb", {"train": [12500, 12500], "test": [12500, 12500]}, 0.5)
    assert not any("the published one" in note for note in notes)


def test_its_archive_is_parsed(tmp_path):
    archive = tmp_path / "imdb.tgz"
    reviews = {
        "aclImdb/train/pos/1_9.txt": "fine <br /> film",
        "aclImdb/train/neg/1_2.txt": "dull",
        "aclImdb/train/neg/0_2.txt": "bad",
        "aclImdb/train/unsup/0_0.txt": "unlabelled",
        "aclImdb/test/pos/10_7.txt": "good",
        "aclImdb/train/urls_neg.txt": "no review",
        "../../evil.txt": "never unpacked",
    }
    archive.write_bytes(tar_gz(reviews))
    assert imdb.parse(archive) == {"train": (["bad", "dull", "fine <br /> film"], [0, 0, 1]), "test": (["good"], [1])}
    archive.write_bytes(tar_gz(reviews)[:-30])
    assert "is not a whole tar archive" in error_of(lambda: imdb.parse(archive))
