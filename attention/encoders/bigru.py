r"""A GRU from either end: three quarters of the weights of an LSTM, and one state instead of two.

```math
h_t = [\overrightarrow{h}_t; \overleftarrow{h}_t]
```

Parameters: 6U(D + U + 1)
Steps: T
Width: 2U, or U added
Options: as `bilstm`, without `forget_bias`.
Cost: three quarters of an LSTM's weights and products.
Traps: three GRUs go by that name. Here the reset gate acts after the product, $r \odot (h R_n)$, as in cuDNN and torch,
whose second bias is not there; Cho's acts before it, $(r \odot h) R_n$; and z and 1 - z change places between papers.
Source: Cho et al. 2014 (arXiv 1406.1078); Bahdanau et al. 2014 (arXiv 1409.0473).
"""

from attention.encoders._recurrent import Combine, Recurrent, check_options

__all__: list[str] = []


def build(hidden: int | None = None, layers: int = 1, combine: Combine = "concat") -> Recurrent:
    """``layers`` layers of two GRUs with U = ``hidden`` units each; None for D / 2, or D where the directions are added.

    As ``bilstm``, with 2·3U(I + U + 1) parameters a layer. Cho et al. 2014 (arXiv 1406.1078); with
    ``pooling=additive(context=final)`` the encoder and the attention of Bahdanau et al. 2014 (arXiv 1409.0473).
    """
    check_options(hidden, layers)
    return Recurrent("gru", hidden, layers, combine)
