"""Evidence of news by topic."""

from attention.data.sources import ag_news
from tests.support.archives import tar_gz
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import OTHER_PLACES, check_published, error_of, labelled_folder, real_data

SPEC = "ag_news(path='$FOLDER/ag_news')"
ROW = Row(
    SPEC,
    {**OTHER_PLACES, "validation_share": "0.25"},
    SourceEvidence(
        (SourceCase(SPEC),),
        lambda folder: labelled_folder(folder / "ag_news", ag_news.RECIPE.classes),
        errors={f"ag_news(validation_share={share})": "between 0 and 1" for share in (0.0, 1.0, -0.5)},
    ),
)


@real_data
def test_published_counts():
    notes = check_published("ag_news", "ag_news_subset", {"train": [10504, 10448, 10483, 11803], "test": [1900] * 4}, 0.25)
    assert any("43238 rows, the published one 120000" in note for note in notes)


def test_its_archive_is_parsed(tmp_path):
    rows = '"3","Oil","Prices rise\n again"\n"1","A ""war""","ends"\n"2","b","c"\n"4","d","e"\n'
    archive = tmp_path / "ag.tgz"
    archive.write_bytes(tar_gz({"ag_news_csv/train.csv": rows, "ag_news_csv/test.csv": rows, "ag_news_csv/readme.txt": "x"}))
    expected = ["Oil Prices rise  again", 'A "war" ends', "b c", "d e"], [2, 0, 1, 3]
    assert ag_news.parse(archive) == {"train": expected, "test": expected}
    archive.write_bytes(tar_gz({"ag_news_csv/train.csv": rows}))
    assert "has no member 'test.csv'" in error_of(lambda: ag_news.parse(archive))
    archive.write_bytes(tar_gz({"train.csv": '"5","a","b"\n', "test.csv": rows}))
    assert "row 1 is not" in error_of(lambda: ag_news.parse(archive))
