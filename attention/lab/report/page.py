"""``report.html``: one file that needs nothing else, made of ``page.html.j2``, ``page.css`` and ``page.js``."""

import base64
import hashlib
import re
from importlib import resources

import jinja2

from attention.lab.report import contents
from attention.lab.report.numbers import MINUS, NONE
from attention.lab.report.save_figures import Drawn
from attention.lab.report.tables import Table

_KINDS = (Table, Drawn, contents.Note, contents.Code, contents.Folded, contents.Definitions, contents.Variant)


def page(report: contents.Contents) -> str:
    """The page. Text is escaped by the template, wherever it comes from."""
    folder = resources.files(__package__ or "")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    seal = _base64(hashlib.sha256(script.encode()).digest())
    template = _environment().from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(report=report, style=style, script=script, seal=seal)


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    made.filters |= {"base64": _base64, "pieces": pieces, "typeset": _typeset}
    made.tests |= {kind.__name__.lower(): lambda part, kind=kind: isinstance(part, kind) for kind in _KINDS}
    return made


def pieces(name: str) -> list[str]:
    """A name in pieces that may stand on lines of their own: each ends with a comma, an opening bracket or one of ``= + &``.

    Example:
      >>> pieces("t5(buckets=32, max_distance=128)")
      ['t5(', 'buckets=', '32,', ' max_distance=', '128)']
    """
    return re.findall(r"[^,(=+&]+[,(=+&]*|[,(=+&]+", name)


def _typeset(text: str, number: bool) -> str:
    return "–" if text == NONE else text.replace("-", MINUS) if number else text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
