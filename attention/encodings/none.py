"""No positions at all (NoPE): without a causal mask the model sees a bag of words."""

from attention.records import Encoding, EncodingClaims

__all__: list[str] = []


def build() -> Encoding:
    """Nothing. Haviv et al. 2022 (arXiv 2203.16634), Kazemnejad et al. 2023 (arXiv 2305.19466), both under a causal mask."""
    return Encoding(claims=EncodingClaims(extrapolates=True))
