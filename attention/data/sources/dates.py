"""Dates as people write them, to be written as year, month and day: 3rd of May 1998 is 1998-05-03. For ``task=seq2seq``.

A day of 1950 to 2049 is drawn, each as likely, and one of ten ways to write it, each as likely::

  3rd of May 1998    May 3rd, 1998    May 3, 1998    3 May 1998    3 May, 1998
  Sunday, 3 May 1998    Sun May 3 1998    03 MAY 1998    5/3/1998    3.5.1998

With a slash the month comes first, with points the day, as is the use in America and in much of Europe. Meant for
``tokenizer=characters``, so that attention has letters to align.
"""

import datetime

from attention.data.contracts import Source
from attention.data.sources._lengths import Draws
from attention.data.sources._transductions import Pairs, source

FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WAYS = 10


def written(date: datetime.date, way: int) -> str:
    """A date in one of the ``WAYS``, counted from 0 in the order above.

    Example:
      >>> written(datetime.date(1998, 5, 3), 0)
      '3rd of May 1998'
    """
    day, month, year, weekday = date.day, MONTHS[date.month - 1], date.year, DAYS[date.weekday()]
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    ways = (
        f"{day}{ending} of {month} {year}",
        f"{month} {day}{ending}, {year}",
        f"{month} {day}, {year}",
        f"{day} {month} {year}",
        f"{day} {month}, {year}",
        f"{weekday}, {day} {month} {year}",
        f"{weekday[:3]} {month[:3]} {day} {year}",
        f"{day:02d} {month[:3].upper()} {year}",
        f"{date.month}/{day}/{year}",
        f"{day}.{date.month}.{year}",
    )
    return ways[way]


def build(train: int = 20_000, validation: int = 500, test: int = 1_000) -> Source:
    """Dates.

    Args:
      train: examples, at least 1.
      validation: at least 1.
      test: at least 1.

    Raises:
      ValueError: for an option out of range.
    """

    def draw(rng: Draws, count: int) -> Pairs:
        days, ways = rng.below((LAST - FIRST).days + 1, count), rng.below(WAYS, count)
        dates = [FIRST + datetime.timedelta(days=day) for day in days.tolist()]
        return [written(date, way) for date, way in zip(dates, ways.tolist())], [date.isoformat() for date in dates]

    return source("dates", draw, {"train": train, "validation": validation, "test": test})
