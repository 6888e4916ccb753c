"""Numbers to be written from the last on: ``bos 3 1 2 sep 2 1 3``. For ``task=lm``; ``reverse`` is for ``task=seq2seq``.

From "Long-Context Generalization with Sparse Attention" (Vasylenko et al. 2025, arXiv 2506.16640), with 32 numbers, questions
of 32 to 64 in training and exact match of longer ones. Here they are shorter by default, for two cores.
"""

from attention.data.sources._answers import of_numbers, turned

build = of_numbers("lm_reverse", turned)
