"""The lines of a report for a terminal."""

from pathlib import Path

from attention import text_table
from attention.lab.report.parts import Contents, Table
from attention.messages import plain


def terminal(report: Contents, verdicts: Table, path: Path) -> str:
    """The verdicts as text, the sentences of the head, and where the report is."""
    rows = [[head.text for head in verdicts.heads], *([cell.text for cell in row] for row in verdicts.rows)]
    up_to_p = [[plain(" ".join(text.split())) for text in row[:10]] for row in rows]
    lines = [f"{verdicts.caption}:", text_table.table(up_to_p), *report.summary, f"report: {path}"]
    return "\n".join(plain(line) for text in lines for line in text.split("\n"))
