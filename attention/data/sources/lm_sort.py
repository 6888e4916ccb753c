"""Numbers to be written in rising order: ``bos 3 1 2 sep 1 2 3``. For ``task=lm``; ``sort`` is for ``task=seq2seq``.

From "Long-Context Generalization with Sparse Attention" (Vasylenko et al. 2025, arXiv 2506.16640), with 32 numbers, questions
of 32 to 64 in training and exact match of those of 64 to 4,096. Here they are shorter by default, for two cores.
"""

from attention.data.sources._answers import of_numbers, rising

build = of_numbers("lm_sort", rising)
