"""BigBird: attention among blocks: a window, the first and the last one, and a few at random.

`attention` under the mask `bigbird(block, random_blocks, seed)`: blocks ±1, the first and the last one as rows and
columns, and r at random.

Parameters: 4(D² + D)
Cost in T: T·b·(5 + r)
Padding: the last block is that of the last valid token.
Traps: the random blocks are the same in training and evaluation and for all heads; a well-known implementation takes block
0 for all of them in evaluation, and counts it twice.
Source: Zaheer et al. 2020 (arXiv 2007.14062).
"""

from attention.masks import combine
from attention.masks.bigbird import build as build_mask
from attention.mixers.attention import build as build_attention
from attention.records import Mixer

__all__: list[str] = []


def build(
    heads: int = 4,
    head_dim: int | None = None,
    bias: bool = True,
    block: int = 64,
    random_blocks: int = 3,
    seed: int = 0,
) -> Mixer:
    """``attention`` under the mask ``bigbird(block, random_blocks, seed)`` and the one that is given; 4(D² + D) parameters.

    Zaheer et al. 2020 (arXiv 2007.14062), the internal construction.
    """
    inner = build_attention(heads=heads, head_dim=head_dim, bias=bias)
    own_mask = build_mask(block=block, random_blocks=random_blocks, seed=seed)

    def apply(params, x, context, call):
        here = context._replace(parts=context.parts._replace(mask=combine(context.parts.mask, own_mask)))
        return inner.apply(params, x, here, call)

    return inner._replace(apply=apply, ahead=own_mask.ahead, whole_row=own_mask.whole_row)
