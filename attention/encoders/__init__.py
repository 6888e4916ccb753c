"""How embeddings become states, as Flax modules: one file per encoder.

An encoder is called as ``encoder(x, context, call, dims)`` and returns ``[B T D]``. ``uses`` names the kinds it gives a
meaning to, ``mixes`` says whether anything moves between positions.
"""
