"""What a process hands to another, as ``concurrent.futures`` and Ray do: records and models, by pickle."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import jax
import jax.numpy as jnp
import pytest
from flax import traverse_util

import attention
from attention import specs
from attention.models.classifier import classifier
from attention.models.seq2seq import seq2seq
from tests.support import models
from tests.support.rows import rows

SIZES = {"vocab_size": 5, "max_length": 9}
MADE = {
    "classifier": lambda: classifier(**SIZES, num_classes=2, encoding="rope + alibi", pooling="cls"),
    "seq2seq": lambda: seq2seq(**SIZES, encoder="bigru", decoder="transformer"),
}


@pytest.mark.parametrize("name", MADE)
def test_models(name):
    """Made twice they are equal, before and after pickling, and can be arguments of a program."""
    one, other = MADE[name](), MADE[name]()
    assert one == other == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(other)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_modules(kind):
    for name in specs.names(kind):
        one = attention.build(kind, name)
        assert one == attention.build(kind, name) == pickle.loads(pickle.dumps(one))


def test_tokenizers():
    for name in specs.names("tokenizer"):
        one = attention.build("tokenizer", name)
        assert one is attention.build("tokenizer", name)
        assert one is pickle.loads(pickle.dumps(one))


def test_in_another_process():
    """Started anew: it knows nothing of this one."""
    given = [attention.build("encoding", "rope + t5(buckets=8)"), attention.build("mask", "causal & local(window=4)")]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for record, found in zip(given, pool.map(_same, given)):
            assert found is record


def _same(record):
    return record if record is specs.build(record.kind, record.spec) else None


PARTS = [(kind, name) for kind in ("encoding", "score", "normalizer", "mixer", "pooling", "encoder") for name in rows(kind)]


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=lambda each: each)
def test_no_empty_collections(kind, name):
    """What has no parameters owns nothing, so that trees come back from being flattened, as optimizers and NNX do."""
    row = rows(kind)[name]
    record = attention.build(kind, row.spec)
    causal = getattr(record, "needs_causal", False) or getattr(row.evidence, "mask", "full") == "causal"
    alone = {"encoding": "none"} if kind not in ("encoding", "encoder") else {}
    model = models.classifier(**{**alone, kind: row.spec}, mask="causal" if causal else "full")
    tokens = jnp.zeros((1, 2), jnp.int32)
    made = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens, tokens == 0, segments=tokens))
    back = traverse_util.unflatten_dict(traverse_util.flatten_dict(made))
    assert jax.tree.structure(back) == jax.tree.structure(made)
