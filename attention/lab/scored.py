"""What a metric can be on the data of a variant: undefined, or a mean over tokens that are not those of another."""

from attention.data.contracts import Dataset, Encoded


def undefined(metric: str, encoded: Encoded) -> str | None:
    """Why a split has no score by a metric, as is known before anything is trained; None where it has one."""
    if metric == "bits_per_byte" and encoded.bytes is None:
        return encoded.lost or "the source has rows of its own, and no text"
    if metric == "exact_match" and encoded.documents is not None:
        return "a text of which every token is told has no answer"
    return None


def same_tokens(one: Dataset, other: Dataset, split: str) -> bool:
    """Whether means over the tokens of a split can be compared: they are the same, among the same that there could be.

    Of two texts, whether there could be the same; rows that sources have ask what these ask, of as many words as they have.
    """
    if one.hashes[split] == other.hashes[split]:
        return one.tokens[split] == other.tokens[split]
    vocabularies = [{*of.tokenizer.vocabulary(of.tokenizer_state)} for of in (one, other)]
    rows = one.splits[split].documents is None
    return one.tokenizer.spec == other.tokenizer.spec and (rows or vocabularies[0] == vocabularies[1])
