"""Tables as lines of text and as TSV."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Columns side by side, the first ``left`` of them flush left and the others flush right.

    Example:
      >>> print(table([["seed", "acc"], ["0", "97.5"]]))
      seed   acc
      0     97.5
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        sized = enumerate(zip(row, widths))
        cells = [cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in sized]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def escaped(text: str) -> str:
    """A text that keeps to its line and column: backslash, tab, newline and carriage return are written as two characters."""
    for sign, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(sign, written)
    return text


def tsv(columns: dict[str, Sequence[str]]) -> str:
    """Columns of texts as tab-separated values below a line of their names, each cell ``escaped``."""
    return "".join("\t".join(map(escaped, row)) + "\n" for row in (tuple(columns), *zip(*columns.values(), strict=True)))
