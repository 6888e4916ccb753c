"""``report.md``, for a repository."""

import re

from attention.lab.report.parts import ARXIV, FOLDER, Code, Contents, Definitions, Drawn, Folded, Note, Part, Table, Variant


def markdown(report: Contents) -> str:
    """``report.md``."""
    parts = [f"# {escaped(report.title)}", escaped(report.subject), "\n".join(f"- {escaped(line)}" for line in report.summary)]
    for section in report.sections:
        parts += [f"## {section.title}", *map(_part, section.parts)]
    return "\n\n".join(parts) + "\n"


def _part(part: Part) -> str:
    match part:
        case Table():
            return table(part)
        case Drawn():
            return f"![{escaped(part.description)}]({FOLDER}/{part.name}.svg)\n\n*{escaped(part.caption)}*"
        case Code():
            return _code(part.text)
        case Folded():
            return _folded(part.title, table(part.table))
        case Definitions():
            return "\n".join(f"- **{escaped(term)}**: {escaped(meaning)}" for term, meaning in part.pairs)
        case Variant():
            name = " ".join(part.name.split())
            lines = [(f"# {name}, seed {one.seed}: {' '.join(one.outcome.split())}", *one.commands) for one in part.members]
            return _folded(part.name, _code("\n".join(line for member in lines for line in member)))
        case Note():
            return escaped(part.text)
        case str():
            return escaped(part)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{escaped(title)}</summary>\n\n{body}\n\n</details>"


def _code(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def table(shown: Table) -> str:
    """A table under its caption."""
    heads = [escaped(head.text) for head in shown.heads]
    lines = [heads, ["--:" if head.number else ":--" for head in shown.heads]]
    lines += [[_cell(cell.text, head.cites) for cell, head in zip(row, shown.heads)] for row in shown.rows]
    return "\n".join([f"{escaped(shown.caption)}:", "", *(f"| {' | '.join(line)} |" for line in lines)])


def _cell(text: str, cites: bool) -> str:
    return ARXIV.sub(r"[\g<0>](https://arxiv.org/abs/\g<0>)", escaped(text)) if cites else escaped(text)


def escaped(text: str) -> str:
    """Text as Markdown shows it, on one line: signs that would be markup have a backslash."""
    text = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
