"""What a run logs of its attention weights, against plain loops, closed forms, and the run itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention import specs
from attention.data.contracts import Encoded
from attention.evaluation import trained
from attention.records import Mixer
from attention.runs import directory
from attention.tasks import _telemetry as telemetry
from attention.tasks import classification
from attention.training import config, loop, recipe, validation
from attention.training.cohort import predict
from attention.training.cohort.members import abstract_params
from tests.support import toy
from tests.support.helpers import jit
from tests.support.models import N, V, batch, classifier

COUNT = len(telemetry.STATISTICS)


def loops(weights, where):
    """The statistics from their definition, float64."""
    weights = np.asarray(weights, np.float64)
    B, heads, T, _ = weights.shape
    found = {name: np.zeros(heads) for name in telemetry.STATISTICS}
    for head in range(heads):
        rows = [weights[b, head, t] for b in range(B) for t in range(T) if where[b, head, t].any()]
        for row in rows:
            size = sum(abs(a) for a in row)
            shares = [abs(a) / size for a in row if a != 0]
            found["entropy"][head] -= sum(p * np.log(p) for p in shares) / len(rows)
            found["support"][head] += len(shares) / len(rows)
            found["largest"][head] += max(abs(a) for a in row) / len(rows)
            found["row_sum"][head] += sum(row) / len(rows)
    return found


def random_weights(signed):
    """Weights ``[3 2 5 7]`` with zeros, some of them in whole rows, and the allowed pairs: padding, and a row without any."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 2, 5, 7)) if signed else rng.exponential(size=(3, 2, 5, 7))
    weights[rng.random(weights.shape) < 0.3] = 0
    weights[1, 0, 2] = 0  # allowed, and yet zero: counts
    valid = np.arange(7) < np.array([7, 4, 2])[:, None]
    where = np.broadcast_to(valid[:, None, :5, None] & valid[:, None, None, :], weights.shape).copy()
    where[0, 1, 3] = False  # of one head alone
    garbage = np.where(where.any(-1, keepdims=True), 0, 9.0)  # in rows that are left out
    return (np.where(where, weights, 0) + garbage).astype(np.float32), where


@pytest.mark.parametrize("signed", [False, True])
def test_statistics_are_those_of_plain_loops(signed):
    weights, where = random_weights(signed)
    found = telemetry.statistics(weights, where)
    assert len({*map(float, found["support"])}) == 2  # heads are kept apart
    for name, wanted in loops(weights, where).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(
    ("row", "wanted"),  # entropy, support, largest, row_sum
    [
        ([0.25, 0.25, 0.25, 0.25], [np.log(4), 4, 0.25, 1]),
        ([0, 0, 1, 0], [0, 1, 1, 1]),
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([3, 0, -3, 0], [np.log(2), 2, 3, 0]),
        ([-2, 0, 0, 0], [0, 1, 2, -2]),
        ([1e-30, 1e-30, 0, 0], [np.log(2), 2, 1e-30, 2e-30]),
    ],
)
def test_closed_forms(row, wanted):
    weights = np.broadcast_to(np.float32(row), (2, 1, 3, 4))
    found = telemetry.statistics(weights, np.ones((2, 1, 1, 4), bool))
    np.testing.assert_allclose([found[name][0] for name in telemetry.STATISTICS], wanted, rtol=1e-6)


def test_without_any_row_there_is_no_number():
    found = telemetry.statistics(np.ones((1, 2, 3, 4), np.float32), np.zeros((1, 1, 3, 4), bool))
    assert all(np.isnan(value).all() and value.shape == (2,) for value in found.values())


def cohort_params(model, members=2):
    shapes = abstract_params(model, members)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.4, leaf.shape), leaf.dtype), shapes)


def measured(model, params, encoded, axis="map"):
    """What a run with these weights would log."""
    settings = config.from_dict({"cohort": {"axis": axis}})
    return predict.measure(model, recipe.spread(params, settings), encoded, settings)


def captured(model, params, member, tokens, valid):
    """What a member of a cohort records, computed with the dense kernel."""
    model, tokens, valid = model.clone(kernel="dense"), jnp.asarray(tokens), jnp.asarray(valid)
    forward = jit(lambda params: model.apply({"params": params}, tokens, valid, capture=True)[1])
    return forward(jax.tree.map(lambda leaf: leaf[member], params))


@pytest.mark.parametrize(("mask", "pooling"), [("causal & local(window=4)", "mean"), ("local(window=4)", "cls")])
def test_allowed_pairs_are_those_of_attention(mask, pooling):
    """Softmax gives weight to every allowed key, and to no other."""
    model, (tokens, valid) = classifier(mask=mask, pooling=pooling), batch((6, 3, 1))
    weights = captured(model, cohort_params(model), 0, tokens, valid)["layer_0/weights"]
    where = np.broadcast_to(telemetry.allowed_pairs(model, valid), weights.shape)
    rows = where.any(-1, keepdims=True)
    assert rows.sum() == N * (10 + 3 * model.pooling.extra_tokens)
    np.testing.assert_array_equal(where, (np.asarray(weights) > 0) & rows)


def split(lengths):
    """A split whose text number i is ``lengths[i]`` tokens i + 1."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.repeat(np.arange(len(lengths), dtype=np.int32) % (V - 1) + 1, lengths)
    return Encoded(flat, offsets, np.zeros(len(lengths), np.int32))


@pytest.mark.parametrize(
    ("lengths", "heads", "extra", "wanted"),
    [
        ([5, 9, 3], 4, 0, [3, 5, 9]),  # all there are
        (np.arange(1, 161), 1, 0, np.arange(6, 160, 10)),  # 16 of 160
        (np.arange(1, 161)[::-1], 1, 0, np.arange(6, 160, 10)),  # in whatever order
        ([512] * 20, 4, 0, [512, 512]),  # 2 of them are 2**21 weights
        ([512] * 20, 4, 1, [512]),
        ([4000, 10, 20, 30, 40, 50, 60, 70], 4, 0, [20, 50, 70]),  # 4 or more would take the long one
        ([4000, 3000, 5000], 4, 0, [4000]),  # one in any case
    ],
)
def test_sample_is_spread_over_the_lengths(lengths, heads, extra, wanted):
    encoded = split(np.asarray(lengths))
    texts = telemetry.sample(encoded, heads=heads, extra_tokens=extra)
    found = texts["valid"].sum(-1)
    assert found.tolist() == list(wanted)
    assert texts["tokens"].shape[1] == -(-max(wanted) // 8) * 8
    for row, valid in zip(texts["tokens"], texts["valid"]):  # each is one whole text of that length
        (word,) = set(row[valid])
        assert valid.sum() in np.asarray(lengths)[np.arange(len(lengths)) % (V - 1) + 1 == word]


@pytest.mark.parametrize(
    "specs",
    [{"encoder": "transformer(layers=2, mlp=1)", "kernel": "chunked"}, {"normalizer": "sparsemax", "mask": "local(window=4)"}],
)
def test_measured_is_what_the_members_attend_with(specs):
    model, encoded = classifier(**specs), split([9, 4, 6])
    params = cohort_params(model)
    measure = lambda params, axis: measured(model, params, encoded, axis)
    both, texts = measure(params, "map"), telemetry.sample(encoded, heads=N)
    layers = 2 if "encoder" in specs else 1
    for m in range(2):
        recorded = captured(model, params, m, texts["tokens"], texts["valid"])
        for layer in range(layers):
            weights = recorded[f"layer_{layer}/weights"]
            where = np.broadcast_to(telemetry.allowed_pairs(model, jnp.asarray(texts["valid"])), weights.shape)
            for name, wanted in loops(weights, where).items():
                np.testing.assert_allclose(both[name][m, layer], wanted, rtol=2e-5, err_msg=name)
    assert all(value.shape == (2, layers, N) for value in both.values())
    alone = measure(jax.tree.map(lambda leaf: leaf[1:], params), "map")
    together = measure(params, "vmap")
    for name, value in both.items():
        np.testing.assert_array_equal(value[1:], alone[name])
        np.testing.assert_allclose(value, together[name], rtol=1e-4)


def test_models_without_weights_have_none():
    encoded = split([9, 4])
    bag = classifier(encoder="embeddings")
    assert measured(bag, cohort_params(bag), encoded) == {}
    model = classifier()
    nothing = Mixer(apply=lambda params, x, context, call: x, init=lambda rng, dims: {})
    model = model.clone(encoder=dataclasses.replace(model.encoder, mixer=nothing))
    assert measured(model, cohort_params(model), encoded) == {}


# ---- runs


def settings(folder, seeds=(0, 1), **model):
    """A transformer with two heads, on one padded length, and little else to compile."""
    fields = toy.fields(toy.write_data(folder), steps=8, optimizer="sgd", dropout=0.0, clip_norm=0.0)
    fields["data"]["buckets"] = 1
    fields["model"] = {"encoder": "transformer(layers=1, mlp=1)", "mixer": "attention(heads=2)", "dim": 8, **model}
    return config.from_dict({**fields, "seeds": seeds})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("telemetry")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    loop.train(settings(folder), folder / "run")
    yield folder
    patch.undo()


def validations(where):
    return [line for line in directory.RunDirectory(where).read_metrics().lines if line["split"] == "validation"]


def attention_of(where):
    """Per validation and statistic ``[M layers heads]``."""
    lines = validations(where)
    assert all(list(line["attention"]) == sorted(telemetry.STATISTICS) for line in lines)
    return np.array([[line["attention"][name] for name in telemetry.STATISTICS] for line in lines], np.float64)


def weights_of(where):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trained.load(str(where)).params)]


def test_a_run_logs_them_with_each_validation(folder):
    found = attention_of(folder / "run")
    assert found.shape == (2, COUNT, 2, 1, 2)  # validations, statistics, members, layers, heads
    entropy, support, largest, row_sum = found.swapaxes(0, 1)
    np.testing.assert_allclose(row_sum, 1, rtol=1e-6)
    lengths = telemetry.sample(trained.load(str(folder / "run")).examples("validation").encoded, heads=2)["valid"].sum(-1)
    np.testing.assert_allclose(support, (lengths**2).sum() / lengths.sum(), rtol=1e-6)  # all keys of each query
    assert (entropy < np.log(support)).all()
    assert (largest > 1 / support).all()
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("normalizer", ["sparsemax", "sigmoid"])
def test_other_normalizers_too(folder, tmp_path, normalizer):
    loop.train(settings(folder, seeds=(0,), normalizer=normalizer), tmp_path / "run")
    found = attention_of(tmp_path / "run")
    assert found.shape == (2, COUNT, 1, 1, 2)
    assert np.isfinite(found).all()
    softmax = attention_of(folder / "run")[:, :, :1]
    if normalizer == "sparsemax":
        assert (found[:, 1] < softmax[:, 1]).all()  # support
    else:
        assert (np.abs(found[:, 3] - 1) > 1e-3).all()  # row_sum


def test_a_member_logs_what_the_single_run_logs(folder, tmp_path):
    loop.train(settings(folder, seeds=(1,)), tmp_path / "run")
    np.testing.assert_array_equal(attention_of(tmp_path / "run"), attention_of(folder / "run")[:, :, 1:])


def test_a_run_that_is_cut_off_logs_the_same(folder, tmp_path, monkeypatch):
    due = loop._due

    def stop(setting, course, *, interrupted):
        if course.step > 5:
            raise InterruptedError
        return due(setting, course, interrupted=interrupted)

    monkeypatch.setattr(loop, "_due", stop)
    with pytest.raises(InterruptedError):
        loop.train(settings(folder), tmp_path / "run")
    monkeypatch.setattr(loop, "_due", due)
    assert len(validations(tmp_path / "run")) == 1
    loop.train(settings(folder), tmp_path / "run")
    assert validations(tmp_path / "run") == validations(folder / "run")


def test_training_is_bitwise_that_without(folder, tmp_path, monkeypatch):
    without = classification.build()._replace(telemetry=None)
    monkeypatch.setitem(specs._BUILT, ("task", "classification"), without)
    loop.train(settings(folder), tmp_path / "run")
    assert all("attention" not in line for line in validations(tmp_path / "run"))
    for one, other in zip(weights_of(tmp_path / "run"), weights_of(folder / "run"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_member_that_has_stopped_has_none(folder, tmp_path, monkeypatch):
    validate = validation.validate

    def stopped(setting, course, progress):
        course.records[1].stopped = "by the test" if course.step == 8 else None
        validate(setting, course, progress)

    monkeypatch.setattr(validation, "validate", stopped)
    loop.train(settings(folder), tmp_path / "run")
    first, last = (line["attention"]["entropy"] for line in validations(tmp_path / "run"))
    assert None not in first
    assert last == [validations(folder / "run")[1]["attention"]["entropy"][0], None]
