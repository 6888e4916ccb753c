"""The one type of row: what every evidence file, ``tests/<kind>/<name>.py``, says of its variant."""

from typing import Any, NamedTuple


class Row(NamedTuple):
    """The evidence of a variant, in its file as ``ROW``.

    Example:
      >>> Row("shaw(max_distance=3)", {"max_distance": "2", "values": "False"}, EncodingEvidence(count=(0, 112)))

    Attributes:
      spec: small enough to test, and reaches every parameter.
      options: for every option of ``build`` a value, or several, other than that of ``spec``, written as in a spec. What else
        has to be set for the option to matter follows it: ``{"factor": "2.0, scaling=ntk"}``.
      evidence: what the contract of the kind asks for (``tests.support.evidence``).
    """

    spec: str
    options: dict[str, str | tuple[str, ...]]
    evidence: Any
