r"""An LSTM from either end: each state has read the text up to its token from both sides.

```math
h_t = [\overrightarrow{h}_t; \overleftarrow{h}_t]
```

Parameters: 8U(D + U + 1)
Steps: T
Width: 2U, or U added
Options: `hidden` U per direction (D / 2), `layers` (1), `combine` `concat` or `sum`, `forget_bias` (1).
When: order matters and texts are short. With attention after Zhou et al.: `combine=sum` and
`pooling='query(activation=tanh, output=tanh, scaled=False)'`; after Bahdanau: `pooling='additive(context=final)'`.
Cost: T steps in a row, each a product $[B\ U][U\ 4U]$ in either direction; inputs are projected eight steps at a time.
Traps: a reverse direction that starts at the last column has read the padding by the time it meets the text. Here it
starts at the last valid token. The forget gate's bias starts at 1; at 0 a cell forgets half of what it holds in every step.
Source: Hochreiter and Schmidhuber 1997; Graves and Schmidhuber 2005; Zhou et al. 2016 (ACL, P16-2034).
"""

from attention.encoders._recurrent import Combine, Recurrent, check_options

__all__: list[str] = []


def build(hidden: int | None = None, layers: int = 1, combine: Combine = "concat", forget_bias: float = 1.0) -> Recurrent:
    """``layers`` layers of two LSTMs with U = ``hidden`` units each; None for D / 2, or D where the directions are added.

    States are ``[→h_t ; ←h_t]`` (``concat``) or ``→h_t + ←h_t`` (``sum``), zeros at padding; the reverse direction starts at
    the last valid token. 2·4U(I + U + 1) parameters a layer, with I inputs: D, then the width of the layer below. Recurrent
    matrices start orthogonal, the bias of the forget gate at ``forget_bias``. Dropout is on what each layer reads.
    Hochreiter and Schmidhuber 1997; Graves and Schmidhuber 2005 (both directions); with ``combine=sum`` and
    ``pooling='query(activation=tanh, output=tanh, scaled=False)'`` Zhou et al. 2016 (ACL, P16-2034).
    """
    check_options(hidden, layers, forget_bias)
    return Recurrent("lstm", hidden, layers, combine, forget_bias)
