r"""No positions at all (NoPE): without a causal mask the model sees a bag of words.

```math
s_{ij} = q_i \cdot k_j / \sqrt H
```

The control for all others.

Parameters: none.
Claim: under a causal mask, language models without an encoding come close to those with one, and learn where tokens stand
(Haviv et al.); on small tasks they go beyond the training length better than explicit encodings (Kazemnejad et al.). The
figure shows where positions come from: the query at $i$ averages over $i + 1$ keys, so the weight of the first token is
$1/(i+1)$.
Traps: both results are causal. With the full mask the model sees a bag of words: the output of every token is the same in
any order.
Source: Haviv et al. 2022 (arXiv 2203.16634), Kazemnejad et al. 2023 (arXiv 2305.19466).
Family: Nothing
"""

from attention.records import Encoding, EncodingClaims

__all__: list[str] = []


def build() -> Encoding:
    """Nothing. Haviv et al. 2022 (arXiv 2203.16634), Kazemnejad et al. 2023 (arXiv 2305.19466), both under a causal mask."""
    return Encoding(claims=EncodingClaims(extrapolates=True))
