import itertools

import jax.numpy as jnp
import pytest

import attention
from attention import compatibility
from attention.attend import parts_of
from attention.compatibility import needs_scores
from attention.models.classifier import DEFAULTS, classifier
from attention.records import Encoding, Mixer, Normalizer, Parts

SIZES = {"vocab_size": 5, "num_classes": 2, "max_length": 9, "dim": 8, "mixer": "attention(heads=2)"}


@pytest.mark.parametrize("encoding", ["rope", "rope(fraction=0.5)", "sinusoidal + rope"])
def test_rotation_wants_a_dot_product(encoding):
    """The scores that are functions of q·k after their projection, which the message names; the others are refused."""
    allowed = [name for name in attention.names("score") if attention.build("score", name).dot_product]
    advice = f"use score={', '.join(allowed[:-1])} or {allowed[-1]}$"
    for score in allowed:
        classifier(encoding=encoding, score=score, **SIZES)
    for score in set(attention.names("score")) - set(allowed):
        with pytest.raises(ValueError, match=rf"encoding=.*rope.* with score={score}: a rotation .* {advice}"):
            classifier(encoding=encoding, score=score, **SIZES)
    with pytest.raises(ValueError, match=r"score=synthesizer\(form='random'\): a rotation"):
        parts_of(encoding, "synthesizer(form='random')")
    x = jnp.zeros((2, 1, 4))
    with pytest.raises(ValueError, match="with score=additive: a rotation"):
        attention.attend(x, x, x, encoding=encoding, score="additive")


def test_every_other_pair_is_allowed():
    """The rules refuse what they name, and nothing else of what ships."""
    kinds = ("encoding", "score", "normalizer")
    records = [[attention.build(kind, name) for name in attention.names(kind)] for kind in kinds]
    local, causal = attention.build("mask", "local"), attention.build("mask", "causal & local")
    for encoding, score, normalizer in itertools.product(*records):
        turned = encoding.rotate is not None and not score.dot_product
        joined = normalizer.maps > 1 and encoding.values is not None
        couples = normalizer.reads == "all" and not normalizer.needs_causal
        if not (turned or joined or (couples and encoding.needs_causal)):
            assert isinstance(parts_of(encoding, score, normalizer, local if couples else causal), Parts)


def test_needs_causal():
    record = Encoding(needs_causal=True)
    for mask in ("causal", "causal & local"):
        parts_of(record, mask=mask)
    for mask in ("full", "local"):
        with pytest.raises(ValueError, match=rf"encoding=\.\.\. with mask={mask}: .* use mask=causal"):
            parts_of(record, mask=mask)


def test_coupled_rows_are_not_causal():
    record = Normalizer(lambda params, scores, mask, call: scores, reads="all")
    parts_of(normalizer=record, mask="local")
    with pytest.raises(ValueError, match=r"normalizer=\.\.\. with mask=causal: this normalizer couples queries"):
        parts_of(normalizer=record, mask="causal")


def _given(**changes):
    return DEFAULTS | changes


@pytest.mark.parametrize(("kind", "spec"), [("score", "dot"), ("normalizer", "sigmoid"), ("mask", "causal")])
def test_a_mixer_without_scores(kind, spec):
    """Parts it would ignore must stay at their defaults."""
    mixer = Mixer(apply=lambda params, x, context, call: x, init=lambda rng, dims: {}, uses=())
    parts = parts_of("sinusoidal")
    compatibility.check_mixer(mixer, parts, _given(mixer="fourier"), DEFAULTS)
    message = rf"mixer=fourier with {kind}={spec}: it uses no {kind}, so {kind} must stay at its default {DEFAULTS[kind]}"
    with pytest.raises(ValueError, match=message):
        compatibility.check_mixer(mixer, parts, _given(mixer="fourier", **{kind: spec}), DEFAULTS)
    for encoding in ("rope", "alibi", "t5", "shaw", "sinusoidal + alibi"):
        with pytest.raises(ValueError, match=r"mixer=fourier with encoding=.*: this encoding acts on scores"):
            compatibility.check_mixer(mixer, parts_of(encoding), _given(mixer="fourier", encoding=encoding), DEFAULTS)


@pytest.mark.parametrize(
    ("kind", "spec"), [("mixer", "attention(heads=2)"), ("score", "dot"), ("normalizer", "sparsemax"), ("mask", "causal")]
)
def test_an_encoder_without_mixer(kind, spec):
    sizes = {key: value for key, value in SIZES.items() if key != "mixer"}
    classifier(encoder="embeddings", **sizes)
    message = rf"encoder=embeddings with {kind}={spec.replace('(', '.').replace(')', '.')}: it uses no {kind}"
    with pytest.raises(ValueError, match=message):
        classifier(encoder="embeddings", **{kind: spec}, **sizes)


@pytest.mark.parametrize("encoding", attention.names("encoding"))
def test_encodings_of_an_encoder_without_mixer(encoding):
    sizes = {key: value for key, value in SIZES.items() if key != "mixer"}
    record = attention.build("encoding", encoding)
    if not (needs_scores(record) or record.depth):
        classifier(encoder="embeddings", encoding=encoding, **sizes)
        return
    reason = "this encoding acts on queries, keys" if needs_scores(record) else "this encoding acts after block 0"
    reason = "this encoding is defined for earlier keys only" if record.needs_causal else reason
    with pytest.raises(ValueError, match=rf"encoding={encoding} with mask=full: {reason}" if record.needs_causal else reason):
        classifier(encoder="embeddings", encoding=encoding, **sizes)


def test_defaults_are_canonical():
    """A default written out in full is a default still."""
    sizes = {key: value for key, value in SIZES.items() if key != "mixer"}
    classifier(encoder="embeddings", mixer="attention( heads = 4 )", normalizer="softmax(temperature=1)", **sizes)
