"""Writes what is generated: ``docs/<kind>s.md`` with pictures, ``docs/conformance.md``, and README.md's table of variants.

python -m tools.pages [--only=KIND] [--check]

A page is ``docs/parts/<kind>s.md``, written by hand, where these lines stand for what is generated:

  <!-- sections -->           the variants whose ``Family`` is the heading above, or all where there are no families
  <!-- table NAME -->         a table of ``tools/kinds/<kind>.py``
  <!-- figure NAME | ... -->  a picture of the page as a whole, of the specs after the bars

A section is the docstring of the variant's module, the options of its ``build``, the facts of its record and of its evidence
(``tests/<kind>s/<name>.py``), and what it costs by ``benchmarks/results/<kind>s.json``. The same versions write the same bytes;
``--check`` compares, in place of writing, and exits with 1 where something differs by more than the last digit of a number.
"""

import argparse
import functools
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attention import specs
from tools import conformance, plots, sections

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PARTS = DOCS / "parts"
README = ROOT / "README.md"
_DIRECTIVE = re.compile(r"^<!-- (sections|table|figure)\b ?(.*?) -->$", re.MULTILINE)
_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_DRAWN = re.compile(r"data:image/png;base64,[^\"]*|\b[a-z][0-9a-f]{10}\b")  # pixels, and ids made of a hash of what is drawn


def kinds() -> tuple[str, ...]:
    """The kinds that have a page."""
    return tuple(kind for kind in specs.KINDS if (PARTS / f"{kind}s.md").exists())


def page(kind: str) -> str:
    """The text of a page.

    Raises:
      ValueError: for a variant whose family is no heading of the page, or a table or figure that there is not.
    """
    text = (PARTS / f"{kind}s.md").read_text(encoding="utf-8")
    families, placed = sections.families(kind), set()

    def made(directive: re.Match[str]) -> str:
        what, words = directive[1], directive[2]
        if what == "table":
            return _table(kind, words)
        if what == "figure":
            name = words.split("|")[0].strip()
            return f"![{name}](figures/{kind}s/{name}.svg)"
        above = _HEADING.findall(text[: directive.start()])[-1]
        family = above if above in families else ""
        placed.add(family)
        return "\n\n".join(_section(kind, each) for each in families.get(family, ()))

    written = _DIRECTIVE.sub(made, text)
    for family in families.keys() - placed:
        heading = f"no heading of docs/parts/{kind}s.md with <!-- sections --> below it{specs.nearest(family, placed)}"
        raise ValueError(f"{kind} {families[family][0].name}: its family {family!r} is {heading}")
    source = f"python -m tools.pages, from docs/parts/{kind}s.md and the docstrings of {specs.KINDS[kind].replace('.', '/')}"
    return f"<!-- Made by {source}. -->\n{written}"


def _table(kind: str, name: str) -> str:
    tables = _module(kind).TABLES
    if name not in tables:
        raise ValueError(f"docs/parts/{kind}s.md: no table {name!r}{specs.nearest(name, tables)}; tables: {', '.join(tables)}")
    return tables[name]()


def _section(kind: str, found: sections.Section) -> str:
    return sections.rendered(found, _module(kind).generated(found))


def _module(kind: str) -> Any:
    return importlib.import_module(f"tools.kinds.{kind}")


def pictures(kind: str) -> dict[Path, Callable[[], str]]:
    """What draws each picture of a page, by where it belongs: of its variants, and of its ``figure`` lines."""
    module, folder = _module(kind), DOCS / "figures" / f"{kind}s"
    if not hasattr(module, "figure"):
        return {}
    makers: dict[str, Callable[[], Any]] = {name: functools.partial(module.figure, name) for name in specs.names(kind)}
    for what, words in _DIRECTIVE.findall((PARTS / f"{kind}s.md").read_text(encoding="utf-8")):
        if what == "figure":
            name, *shown = (word.strip() for word in words.split("|"))
            makers[name] = functools.partial(module.overview, _grouped(shown))
    svg = functools.partial(plots.svg, salt=f"{kind}s", decimals=module.DECIMALS)
    return {folder / f"{name}.svg": functools.partial(svg, make) for name, make in makers.items()}


def _grouped(words: list[str]) -> Any:
    """Specs; or by title, where words are ``title: spec; spec``."""
    if not all(": " in word for word in words):
        return words
    return {title: specs_of.split("; ") for title, specs_of in (word.split(": ") for word in words)}


def readme(text: str) -> str:
    """The README with the table between ``<!-- variants -->`` and ``<!-- end -->`` made anew."""
    rows = ["| kind | variants |", "| --- | --- |", *(f"| {kind} | {_listed(kind)} |" for kind in specs.KINDS)]
    before, rest = text.split("<!-- variants -->\n", 1)
    return f"{before}<!-- variants -->\n" + "\n".join(rows) + f"\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"


def _listed(kind: str) -> str:
    """The names of a kind, by family where its page has some, with a link to the page."""
    if kind not in kinds():
        return " ".join(f"`{name}`" for name in specs.names(kind))
    headings = _HEADING.findall((PARTS / f"{kind}s.md").read_text(encoding="utf-8"))
    families = sorted(sections.families(kind).items(), key=lambda each: headings.index(each[0]) if each[0] else 0)
    named = [f"{family.lower()}: " * bool(family) + " ".join(f"`{each.name}`" for each in found) for family, found in families]
    sign = f" · composed with `{specs.OPERATORS[kind]}`" if kind in specs.OPERATORS else ""
    return f"{' · '.join(named)}{sign} ([the page](docs/{kind}s.md))"


def files(only: str | None = None) -> Iterator[tuple[Path, str]]:
    """Every generated file and its text."""
    for kind in (only,) if only else kinds():
        yield DOCS / f"{kind}s.md", page(kind)
        for path, make in pictures(kind).items():
            yield path, make()
    if only is None:
        yield conformance.PAGE, conformance.page()
        yield README, readme(README.read_text(encoding="utf-8"))


def alike(new: str, old: str) -> bool:
    """Whether two texts are the same but for the last decimal of a number, and for pixels."""
    new, old = (_DRAWN.sub("", text) for text in (new, old))
    if _NUMBER.sub("", new) != _NUMBER.sub("", old):
        return False
    pairs = zip(_NUMBER.findall(new), _NUMBER.findall(old), strict=True)
    return all(_near(a, b) for a, b in pairs if a != b)


def _near(a: str, b: str) -> bool:
    """Whether numbers with decimals differ by one unit of the last at most; counts have to be equal."""
    decimals = max(map(_decimals, (a, b)))
    return decimals > 0 and abs(float(a) - float(b)) < 1.01 * 10.0**-decimals


def _decimals(number: str) -> int:
    digits, _, power = number.partition("e")
    return len(digits.partition(".")[2]) - int(power or 0)


def unpinned() -> list[str]:
    """Packages that are not of the version in requirements.txt, for which alone pages are the same."""
    pinned = re.findall(r"^(jax|jaxlib|numpy|matplotlib)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    return [
        f"{name} {importlib.metadata.version(name)} (pinned {pin})"
        for name, pin in pinned
        if importlib.metadata.version(name) != pin
    ]


def main(arguments: list[str] | None = None) -> int:
    """Writes or checks the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=kinds(), help="the page of one kind")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    if found := unpinned():
        print(f"error: pages are made on the pinned versions only; here {', '.join(found)}", file=sys.stderr)
        return 2
    differ = []
    for path, text in files(options.only):
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if alike(text, old):
            continue
        differ.append(path)
        print(f"{'differs' if options.check else 'wrote'} {path.relative_to(ROOT)}", flush=True)
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if options.check and differ:
        print("run python -m tools.pages, and commit what it writes", file=sys.stderr)
    return int(options.check and bool(differ))


if __name__ == "__main__":
    sys.exit(main())
