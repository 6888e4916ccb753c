"""``report.html``: one file that needs nothing else, made of ``page.html.j2``, ``page.css`` and ``page.js``."""

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from importlib import resources

import jinja2
import markupsafe

from attention.lab.report import plot_style
from attention.lab.report.numbers import MINUS, NONE
from attention.lab.report.parts import ARXIV, Cell, Code, Contents, Definitions, Drawn, Folded, Note, Table, Variant

# Letters of Hebrew, Arabic and others that are written from right to left; a run of such words.
_LEFTWARD = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
_RUN = f"{_LEFTWARD}+(?:[ ]+{_LEFTWARD}+)*"
_KINDS = (Table, Drawn, Note, Code, Folded, Definitions, Variant)


def page(report: Contents) -> str:
    """The page. Text is escaped by the template, wherever it comes from."""
    folder = resources.files(__package__ or "")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    seal = _base64(hashlib.sha256(script.encode()).digest())
    template = _environment(_names(report)).from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(report=report, style=style, script=script, seal=seal)


def _names(report: Contents) -> list[str]:
    """What the variants are called, the longest first: one may be a part of another."""
    named = {part.name for section in report.sections for part in section.parts if isinstance(part, Variant)}
    return sorted(named, key=len, reverse=True)


def _environment(names: Sequence[str]) -> jinja2.Environment:
    made = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    made.filters |= {
        "base64": _base64,
        "by_night": plot_style.by_night,
        "cited": _cited,
        "verdict": _verdict,
        "dash": _dash,
        "isolated": functools.partial(_isolated, re.compile(f"({'|'.join([*map(re.escape, filter(_turns, names)), _RUN])})")),
        "pieces": pieces,
        "typeset": _typeset,
    }
    made.tests |= {kind.__name__.lower(): lambda part, kind=kind: isinstance(part, kind) for kind in _KINDS}
    return made


def pieces(name: str) -> list[str]:
    """A name in pieces that may stand on lines of their own: each ends with one of ``, ( = + & . _``.

    Example:
      >>> pieces("t5(buckets=32, max_distance=128)")
      ['t5(', 'buckets=', '32,', ' max_', 'distance=', '128)']
    """
    return re.findall(r"[^,(=+&._]+[,(=+&._]*|[,(=+&._]+", name)


def _dash(text: str) -> str:
    return "–" if text == NONE else text


def _typeset(text: str) -> str:
    return _dash(text).replace("-", MINUS)


def _verdict(row: Sequence[Cell]) -> str:
    """The verdict of a row."""
    return next((cell.mark for cell in row if cell.mark), "")


def _cited(text: str) -> markupsafe.Markup:
    """Text with a link for each arXiv id."""
    return markupsafe.Markup(ARXIV.sub(r'<a href="https://arxiv.org/abs/\g<0>">\g<0></a>', str(markupsafe.escape(text))))


def _turns(text: str) -> bool:
    """Whether numbers beside the text would stand on its other side: it is written from right to left."""
    return re.search(_LEFTWARD, text) is not None


def _isolated(leftward: re.Pattern[str], text: str) -> markupsafe.Markup:
    """Text in which what is written from right to left, whole names first, turns nothing around it."""
    found = leftward.split(text)
    return markupsafe.Markup("").join(
        markupsafe.Markup("<bdi>{}</bdi>").format(piece) if place % 2 else markupsafe.escape(piece)
        for place, piece in enumerate(found)
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
