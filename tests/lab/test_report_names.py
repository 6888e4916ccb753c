"""Names from right to left turn no number of the report round; names that cannot be seen are refused."""

import re

import pytest

from attention.lab import plain_names, report, results
from tests.support.made_results import made

LEFTWARD, PART = "מודל 2 גדול", "מודל"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    results.write(folder / "results.parquet", made(["none", PART, LEFTWARD, "نموذج"], seeds=3))
    report.write(folder, title="שלום 5 < 6", data_name="ביקורות")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_names_from_right_to_left_stand_apart(page):
    """Whole, with the numbers in them, in every cell, heading and sentence; attributes and the title of the window aside."""
    body = page[page.index("<body>") : page.index("<script>")]
    shown = re.sub(r"<bdi>.*?</bdi>|<wbr>|<pre.*?</pre>|<[^<>]*>", "", body, flags=re.DOTALL)
    assert not re.search("[\u0590-\u06ff]", shown)
    for name in (LEFTWARD, PART, "ביקורות", "نموذج"):
        assert f"<bdi>{name}</bdi>" in body
    assert "<h1><bdi>שלום</bdi> 5 &lt; 6</h1>" in body


def test_other_words_have_no_marks(page):
    sentence = re.search('<p class="finding">.*?</p>', page, re.DOTALL)
    assert sentence
    assert "<bdi>none</bdi>" not in sentence[0]


@pytest.mark.parametrize(
    "sign", ["\0", "\t", "\n", "\x7f", "\x85", "\u061c", "\u200e", "\u200f", "\u2028", "\u202a", "\u2069", "\ud800"]
)
def test_names_that_cannot_be_seen_are_refused(tmp_path, sign):
    with pytest.raises(ValueError, match=rf"the title wants no control characters, got U\+{ord(sign):04X} in ") as error:
        plain_names.plain_name(f"a{sign}b", "the title")
    assert str(error.value).isprintable()
    results.write(tmp_path / "results.parquet", made(["none", "rope"], seeds=2))
    for what in ("title", "data_name"):
        with pytest.raises(ValueError, match=f"--{what} wants no control characters"):
            report.write(tmp_path, **{what: f"a{sign}b"})


@pytest.mark.parametrize("name", ["שלום", "نموذج", "می\u200cخواهم", "汉字 и 😀", "👩\u200d🔬", ""])
def test_names_of_all_languages_are_names(name):
    assert plain_names.plain_name(name, "the title") == name
