"""A GRU from either end: three quarters of the weights of an LSTM, and one state instead of two."""

from attention.encoders._recurrent import Combine, Recurrent, check_options

__all__: list[str] = []


def build(hidden: int | None = None, layers: int = 1, combine: Combine = "concat") -> Recurrent:
    """``layers`` layers of two GRUs with U = ``hidden`` units each; None for D / 2, or D where the directions are added.

    As ``bilstm``, with 2·3U(I + U + 1) parameters a layer. Cho et al. 2014 (arXiv 1406.1078); with
    ``pooling=additive(context=final)`` the encoder and the attention of Bahdanau et al. 2014 (arXiv 1409.0473).
    """
    check_options(hidden, layers)
    return Recurrent("gru", hidden, layers, combine)
