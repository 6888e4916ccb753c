"""What the rows of the tests say of a variant, for its page."""

from typing import Any

from tests.support import rows


def evidence(kind: str, name: str) -> Any:
    """The evidence of a variant, None where there is no such file."""
    return rows.rows(kind)[name].evidence if name in rows.files(kind) else None


def picture(kind: str, name: str) -> Any:
    """What the evidence says its picture is, None where it says nothing."""
    make = getattr(evidence(kind, name), "picture", None)
    return None if make is None else make()
