"""Which records go together: pairs that have no meaning are refused by name, with the reason."""

from collections.abc import Mapping
from typing import Any

from attention import specs
from attention.records import Encoding, Mask, Mixer, Parts, Pooling


def check_parts(parts: Parts, given: dict[str, str] | None = None) -> None:
    """Refuses encodings, scores, normalizers and masks that do not go together.

    Args:
      parts: the records.
      given: the spec of each kind, for the message.

    Raises:
      ValueError: naming the pair and the reason.
    """
    name = lambda kind: f"{kind}={(given or {}).get(kind, '...')}"
    if parts.encoding.rotate is not None and not parts.score.dot_product:
        raise ValueError(
            f"{name('encoding')} with {name('score')}: a rotation has a meaning only where the score depends on query and "
            f"key through their lengths and q·k; use score={_or(_dot_products())}"
        )
    if parts.encoding.needs_causal and not parts.mask.causal:
        raise ValueError(
            f"{name('encoding')} with {name('mask')}: this encoding is defined for earlier keys only; use mask=causal"
        )
    if parts.normalizer.needs_causal and not parts.mask.causal:
        raise ValueError(
            f"{name('normalizer')} with {name('mask')}: this normalizer is defined for earlier keys only; use mask=causal"
        )
    if parts.normalizer.maps > 1 and parts.encoding.values is not None:
        raise ValueError(
            f"{name('encoding')} with {name('normalizer')}: this encoding adds values per head, and this normalizer joins heads"
        )
    if parts.normalizer.reads == "all" and parts.mask.causal and not parts.normalizer.needs_causal:
        raise ValueError(
            f"{name('normalizer')} with {name('mask')}: this normalizer couples queries, so later ones would leak through it"
        )


def _dot_products() -> list[str]:
    """The scores that rotations go with."""
    return [name for name in specs.names("score") if specs.build("score", name).dot_product]


def _or(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def needs_scores(encoding: Encoding) -> bool:
    """Whether an encoding acts on queries, keys or scores, and not on the embeddings alone."""
    return encoding.rotate is not None or encoding.on_scores


def positional(parts: Parts) -> tuple[str, ...]:
    """The kinds whose parts read the positions of the call."""
    reading = {
        "encoding": needs_scores(parts.encoding),
        "score": parts.score.max_length is not None,
        "normalizer": parts.normalizer.positional,
        "mask": parts.mask.apply is not None and parts.mask.positional,
    }
    return tuple(kind for kind, reads in reading.items() if reads)


def by_mode(parts: Parts) -> bool:
    """Whether the parts do something else in training than in evaluation, so that it has to be known which it is."""
    return parts.encoding.positions is not None or parts.normalizer.by_mode


def limits(records: Mapping[str, Any], max_length: int | None) -> dict[str, int]:
    """The positions that records have a table of, by their kind; ``max_length`` is that of ``Dims``."""
    found = {}
    for kind, record in records.items():
        given = record.max_length if isinstance(record.max_length, tuple) else (record.max_length,)
        sizes = [max_length if limit == "dims" else limit for limit in given]
        known = [size for size in sizes if size is not None]
        if known:
            found[kind] = min(known)
    return found


def check_max_length(records: Mapping[str, Any], max_length: int | None, given: dict[str, str]) -> None:
    """Refuses parts with a table as long as the longest sequence, where nobody said how long that is. Raises ValueError."""
    for kind, record in records.items():
        limit = record.max_length if isinstance(record.max_length, tuple) else (record.max_length,)
        if "dims" in limit and max_length is None:
            raise ValueError(f"{kind}={given[kind]} has a table of positions: give max_length, the longest sequence")


def check_mixer(mixer: Mixer, parts: Parts, given: dict[str, str], defaults: dict[str, str]) -> None:
    """Refuses parts that a mixer would ignore.

    Args:
      mixer: the mixer.
      parts: the records it is to be made of.
      given: the canonical spec of each kind, and of "mixer".
      defaults: the canonical default of each kind.

    Raises:
      ValueError: naming the mixer, the part and the reason.
    """
    owner, name = f"mixer={given['mixer']}", lambda kind: f"{kind}={given[kind]}"
    for kind in ("score", "normalizer", "mask"):
        if kind in mixer.uses or given[kind] == defaults[kind]:
            continue
        if kind == "mask" and mixer.masks:
            if _of_one_document(given[kind]) in mixer.masks:
                continue
            joined = " & ".join([mixer.masks[0], *(name for name in specs.names("mask") if specs.build("mask", name).packs)])
            raise ValueError(f"{owner} with {name(kind)}: it takes mask={_or([defaults[kind], *mixer.masks, repr(joined)])}")
        raise ValueError(_ignored(owner, kind, given[kind], defaults[kind]))
    if "encoding" not in mixer.uses and needs_scores(parts.encoding):
        if "rotation" not in mixer.uses:
            raise ValueError(f"{owner} with {name('encoding')}: this encoding acts on scores, and there are none")
        if parts.encoding.on_scores:
            raise ValueError(f"{owner} with {name('encoding')}: this encoding does more than rotate, and there are no scores")
    refused = None if mixer.refuses is None else mixer.refuses(parts)
    if refused is not None:
        kind, reason = refused
        raise ValueError(f"{owner} with {name(kind)}: {reason}")


def _of_one_document(mask: str) -> str:
    """The spec of a mask without the terms that keep documents apart."""
    parsed = specs.parse(mask)
    return " & ".join(str(term) for term in parsed.terms or (parsed,) if not specs.build("mask", term).packs)


def check_packing(encoder: Any, mixer: Mixer, parts: Parts, given: Mapping[str, str], *, window: bool = False) -> None:
    """Refuses parts under which the documents packed into a row are not what each is alone.

    Args:
      encoder: the Flax module, of which the fact ``whole_row`` is read.
      mixer: the mixer.
      parts: the records.
      given: the canonical spec of each kind, and of "mixer" and "encoder".
      window: whether positions that are made anew are those of a whole window, for each document alike (``Context.window``).

    Raises:
      ValueError: for a mask that does not keep documents apart, or naming the part that wants a row to itself, with the reason.
    """
    if not parts.mask.packs:
        wanted = "document" if parts.mask.apply is None else f"'{given['mask']} & document'"
        raise ValueError(f"several documents in a row want mask={wanted}, got mask={given['mask']}")
    records = {"encoder": encoder, "mixer": mixer, "encoding": parts.encoding, "mask": parts.mask}
    for kind, record in records.items():
        if record.whole_row and not (window and getattr(record, "redraws", False)):
            raise ValueError(f"{kind}={given[kind]} cannot have several documents in a row: {record.whole_row}")


def check_pooling(encoder: Any, pooling: Pooling, given: dict[str, str]) -> None:
    """Raises ValueError for a pooling that reads an added token, with an encoder that has no state for one."""
    if pooling.extra_tokens and not encoder.sees_all:
        raise ValueError(
            f"encoder={given['encoder']} with pooling={given['pooling']}: this encoder gives the added token no state that has "
            "seen all of the text"
        )


def check_causal(encoder: Any, mixer: Mixer, encoding: Encoding, mask: Mask, given: dict[str, str]) -> None:
    """Refuses what lets a token see later ones, or how many there are: a language model would read its answers from them.

    Args:
      encoder: the Flax module, of which the facts ``uses`` and ``causal`` are read.
      mixer, encoding, mask: the records.
      given: the canonical spec of each kind.

    Raises:
      ValueError: naming the part and what to use.
    """
    if not encoder.causal:
        fit = [name for name in specs.names("encoder") if specs.build("encoder", name).causal]
        raise ValueError(f"encoder={given['encoder']}: its states see later tokens; a language model takes encoder={_or(fit)}")
    _check_ahead("encoding", encoding, given)
    if "mixer" not in encoder.uses:
        return
    if "mask" not in mixer.uses and "causal" not in mixer.masks:
        raise ValueError(f"mixer={given['mixer']} has no causal form, and in a language model no token may see later ones")
    if not mask.causal:
        spec = "causal" if mask.apply is None else f"'causal & {given['mask']}'"
        seen = f"mask={given['mask']} lets a token see later ones, and a language model predicts them"
        raise ValueError(f"{seen}; use --config.model.mask={spec}")
    _check_ahead("mixer", mixer, given)
    _check_ahead("mask", mask, given)


def _check_ahead(kind: str, record: Any, given: dict[str, str]) -> None:
    if record.ahead:
        raise ValueError(f"{kind}={given[kind]} in a language model, where later tokens are not known: {record.ahead}")


def check_encoder(encoder: Any, parts: Parts, given: dict[str, str], defaults: dict[str, str]) -> None:
    """Refuses parts that an encoder would ignore.

    Args:
      encoder: the Flax module, of which the fact ``uses`` is read (``attention/encoders/_modules.py``).
      parts: the records.
      given: the canonical spec of each kind, and of "mixer" and "encoder".
      defaults: the canonical default of each kind.

    Raises:
      ValueError: naming the encoder, the part and the reason.
    """
    if "mixer" in encoder.uses:
        return
    for kind in ("mixer", "score", "normalizer", "mask"):
        if given[kind] != defaults[kind]:
            raise ValueError(_ignored(f"encoder={given['encoder']}", kind, given[kind], defaults[kind]))
    if needs_scores(parts.encoding):
        raise ValueError(
            f"encoder={given['encoder']} with encoding={given['encoding']}: this encoding acts on queries, keys or scores, and "
            "this encoder has none"
        )
    if parts.encoding.depth:
        raise ValueError(
            f"encoder={given['encoder']} with encoding={given['encoding']}: this encoding acts after block "
            f"{parts.encoding.depth - 1}, and this encoder has none"
        )


def _ignored(owner: str, kind: str, spec: str, default: str) -> str:
    return f"{owner} with {kind}={spec}: it uses no {kind}, so {kind} must stay at its default {default}"
