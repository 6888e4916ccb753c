"""A variant's section of its page, read from its module: the docstring, and what ``build`` says of the options.

A docstring is a line that ``--list`` prints, then Markdown with the formula, then labelled lines:

    Claim: what its paper says.
    Source: Someone et al. 2021 (arXiv 2101.00001), eq. 2.

A label starts a line and reaches to the next one. ``Family: NAME`` puts the section under that heading of the page.
"""

import functools
import inspect
import re
from collections.abc import Iterable
from typing import NamedTuple

from attention import specs

# In the order in which they are written.
LABELS = (
    "Family", "Allowed", "Sees", "Cost in T", "Steps", "Width", "Reads the source by",
    "Parameters", "Options", "Claim", "When", "Cost", "Padding", "Traps", "Source",
)  # fmt: skip
_LABEL = re.compile(rf"^({'|'.join(LABELS)}): ", re.MULTILINE)
_ARXIV = re.compile(r"arXiv\s+(\d{4}\.\d{4,5})")
_MATH = re.compile(r"```math\n(.*?)\n```", re.DOTALL)


class Section(NamedTuple):
    """What a module says of itself.

    Attributes:
      name: the variant.
      summary: the first line.
      formula: the first block of LaTeX, without its fence; empty where there is none.
      prose: Markdown between the formula and the labels.
      labels: text by label, in the order they stand in.
      flag: the spec with all options at their defaults.
      options: the documentation of ``build``, as Markdown.
    """

    name: str
    summary: str
    formula: str
    prose: str
    labels: dict[str, str]
    flag: str
    options: str

    @property
    def family(self) -> str:
        """The heading it belongs under, or an empty string."""
        return self.labels.get("Family", "")

    @property
    def year(self) -> int:
        """Of its oldest source, 9999 where none is dated."""
        return min(map(int, re.findall(r"\b(?:19|20)\d\d\b(?!\.)", self.labels.get("Source", ""))), default=9999)


@functools.cache
def section(kind: str, name: str) -> Section:
    """The section of a variant.

    Raises:
      ValueError: where a label occurs twice, there is no source, or something is left to do.
    """
    documentation = inspect.getdoc(specs.module(kind, name)) or ""
    if left := (documentation + _options(kind, name)).count("TODO"):
        raise ValueError(f"{kind} {name}: {left} TODO are left in {specs.module(kind, name).__file__}")
    summary, _, body = documentation.partition("\n")
    head, *labelled = _LABEL.split(body)
    names = labelled[::2]
    if len(set(names)) < len(names) or "Source" not in names:
        raise ValueError(f"{kind} {name}: every label once, with Source among them; got {', '.join(names) or 'none'}")
    formula = _MATH.search(head)
    prose = head.replace(formula[0], "", 1) if formula else head
    labels = {label: " ".join(text.split()) for label, text in zip(names, labelled[1::2])}
    return Section(name, summary, formula[1] if formula else "", prose.strip(), labels, _flag(kind, name), _options(kind, name))


def _flag(kind: str, name: str) -> str:
    listed = ", ".join(map(str, specs.options(kind, name)))
    return f"{name}({listed})" if listed else name


def _options(kind: str, name: str) -> str:
    documentation = inspect.getdoc(specs.module(kind, name).build) or ""
    return documentation.replace("``", "`")


def sections(kind: str) -> tuple[Section, ...]:
    """Of all variants of a kind, the oldest source first."""
    return tuple(sorted((section(kind, name) for name in specs.names(kind)), key=lambda found: (found.year, found.name)))


def families(kind: str) -> dict[str, tuple[Section, ...]]:
    """Sections by family, in the order of their oldest; those without one under an empty name."""
    found: dict[str, tuple[Section, ...]] = {}
    for each in sections(kind):
        found[each.family] = (*found.get(each.family, ()), each)
    return found


def linked(text: str) -> str:
    """The text with a link at every arXiv number."""
    return _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def inline(formula: str) -> str:
    """A block of LaTeX as a cell of a table."""
    return f"${' '.join(formula.replace('|', chr(92) + 'vert ').split())}$" if formula else ""


def rendered(found: Section, generated: Iterable[str]) -> str:
    """The Markdown of a section: formula, text, what is ``generated`` (picture, facts), labels and options."""
    labels = [f"**{label}:** {text}" for label, text in found.labels.items() if label != "Family"]
    parts = [
        f"### {found.name}",
        f"```math\n{found.formula}\n```" if found.formula else "",
        "\n".join(filter(None, (found.summary, found.prose if "\n\n" not in found.prose else ""))),
        found.prose if "\n\n" in found.prose else "",
        *generated,
        "\\\n".join(labels),
        f"<details><summary>Options: <code>{_html(found.flag)}</code></summary>\n\n{found.options}\n\n</details>",
    ]
    return linked("\n\n".join(filter(None, parts)))


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
