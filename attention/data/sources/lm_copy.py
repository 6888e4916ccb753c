"""Numbers to be written again: ``bos 3 1 2 sep 3 1 2``. For ``task=lm``; ``copy`` is for ``task=seq2seq``.

From "Long-Context Generalization with Sparse Attention" (Vasylenko et al. 2025, arXiv 2506.16640), with 32 numbers, questions
of 32 to 64 in training and exact match of those of 64 to 4,096. Here they are shorter by default, for two cores.
"""

from attention.data.sources._answers import of_numbers

build = of_numbers("lm_copy", lambda numbers: numbers)
