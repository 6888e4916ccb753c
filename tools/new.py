"""Writes the two files of a new variant: the method, and its evidence.

python -m tools.new KIND NAME        for example: python -m tools.new encoding log_distance

Both work as they are, as a simple method of the kind. Put yours in its place, and words in place of every TODO; the suite
says what is missing. Then ``python -m tools.pages`` and ``python -m tools.stubs``.
"""

import argparse
import keyword
import re
import string
import sys
from pathlib import Path

from attention import specs
from tools import sections

ROOT = Path(__file__).parents[1]
SKELETONS = Path(__file__).parent / "skeletons"


def skeletons(kind: str, name: str) -> dict[str, str]:
    """The files of a new variant, by path below the root.

    Raises:
      ValueError: for an unknown kind, or a name that is taken or no name of a Python module.
    """
    known = specs.names(kind)
    if name in known:
        raise ValueError(f"the {kind} {name!r} is there already: {_path(kind, name)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ValueError(f"a name is lower case with underscores, such as {known[0]!r}; got {name!r}")
    if keyword.iskeyword(name):
        raise ValueError(f"{name!r} is a word of Python's own, and no module can be called that")
    if not (SKELETONS / f"{kind}.txt").exists():
        there = ", ".join(sorted(path.stem for path in SKELETONS.iterdir()))
        raise ValueError(f"there is no skeleton of a {kind}: begin with a copy of {_path(kind, known[0])}; skeletons: {there}")
    method, _, evidence = (SKELETONS / f"{kind}.txt").read_text(encoding="utf-8").partition("=== evidence\n")
    words = {"name": name, "Name": "".join(word.capitalize() for word in name.split("_")), "family": _family(kind)}
    path = _path(kind, name)
    texts = {path: method, path.replace("attention/", "tests/", 1): evidence}
    return {path: string.Template(text).substitute(words) for path, text in texts.items()}


def _path(kind: str, name: str) -> str:
    return f"{specs.KINDS[kind].replace('.', '/')}/{name}.py"


def _family(kind: str) -> str:
    """One of the headings that a page has for the sections of a kind; the user picks the right one."""
    if not (ROOT / "docs" / "parts" / f"{kind}s.md").exists():
        return ""
    return next(reversed(sections.families(kind)))


def main(arguments: list[str] | None = None) -> int:
    """Writes the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", help=", ".join(specs.KINDS))
    parser.add_argument("name", help="as in a spec: lower case, with underscores")
    options = parser.parse_args(arguments)
    try:
        texts = skeletons(options.kind, options.name)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path, text in texts.items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}: {text.count('TODO')} to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
