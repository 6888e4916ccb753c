"""What the table of the encodings says of a variant, and the sizes it is said for."""

from typing import Any, NamedTuple

from attention.records import Call
from tests.support.helpers import DIMS

D, N, H, L = DIMS.model_dim, DIMS.num_heads, DIMS.head_dim, DIMS.max_length


class Row(NamedTuple):
    """What a test knows of a variant.

    Attributes:
      spec: small enough to test; reaches every parameter with 24 positions from 0 to 47.
      count: parameters shared by the layers, and of each layer.
      moved: what scores do when all positions move by 20: "same", or "other".
      directed: whether reading the sequence backwards shows.
      options: what every option of `build` can be set to beside its default.
      mask: the mask it is defined under.
      max_length: the fact.
      ordered: whether the order of tokens matters at all.
      by_position: whether explicit positions decide alone, and not the order of the array.
      call: that in which every option shows.
    """

    spec: str
    count: tuple[int, int] = (0, 0)
    moved: str = "same"
    directed: bool = True
    options: dict[str, str] = {}  # noqa: RUF012
    mask: str = "full"
    max_length: Any = None
    ordered: bool = True
    by_position: bool = True
    call: Call = Call()
