"""Evidence of dates."""

import datetime
import re

import pytest

from attention.data.sources import dates
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import build

# How `datetime` reads each way of writing a date, in the order of `dates.WAYS`.
FORMATS = ("%d of %B %Y", "%B %d, %Y", "%B %d, %Y", "%d %B %Y", "%d %B, %Y", "%A, %d %B %Y", "%a %b %d %Y", "%d %b %Y")
FORMATS += ("%m/%d/%Y", "%d.%m.%Y")


def right(text):
    """Read again by `datetime`, in the one way in which the text is written."""
    plain = re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", text)
    found = set()
    for way, form in enumerate(FORMATS):
        try:
            date = datetime.datetime.strptime(plain, form).date()
        except ValueError:
            continue
        if dates.written(date, way) == text:
            found.add(date.isoformat())
    (date,) = found
    return date


SPEC = "dates(train=300, validation=40, test=40)"
ROW = Row(
    SPEC,
    {"train": "301", "validation": "41", "test": "41"},
    SourceEvidence((SourceCase(SPEC, right),), errors={"dates(test=0)": "test must be at least 1, got 0"}),
)


def test_every_way_occurs_and_is_read_again():
    """Each is read again by `datetime`, and each of the ten ways occurs."""
    corpus = build("dates", train=1000).load(1)
    split, seen = corpus.splits["train"], set()
    for text, target in zip(split.texts, split.targets):
        date = datetime.date.fromisoformat(target)
        assert dates.FIRST <= date <= dates.LAST
        plain = re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", text)
        ways = [way for way in range(dates.WAYS) if dates.written(date, way) == text]
        assert len(ways) == 1
        seen.add(ways[0])
        assert datetime.datetime.strptime(plain, FORMATS[ways[0]]).date() == date
    assert seen == set(range(dates.WAYS))


@pytest.mark.parametrize(
    ("day", "ending"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (22, "22nd")]
)
def test_ordinals(day, ending):
    assert dates.written(datetime.date(1998, 5, day), 0) == f"{ending} of May 1998"
