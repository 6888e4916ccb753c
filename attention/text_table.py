"""Tables as lines of text."""

from collections.abc import Sequence

from attention.messages import plain


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Columns side by side, the first ``left`` of them flush left and the others flush right; cells keep to their line.

    Example:
      >>> print(table([["seed", "acc"], ["0", "97.5"]]))
      seed   acc
      0     97.5
    """
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        sized = enumerate(zip(row, widths))
        cells = [cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in sized]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
