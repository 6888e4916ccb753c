import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.model import classifier
from attention.training import config, state, step

CLASSES, VOCABULARY = 3, 11
SHAPES = ((6, 8), (6, 16), (6, 8), (6, 24))


@functools.cache
def _model(**fields):
    return classifier(
        **{"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8, **fields},
        vocab_size=VOCABULARY,
        num_classes=CLASSES,
        max_length=24,
    )


def _program(training=None, seeds=(0,), model=None, class_weights=None, **sections):
    """A config, its program and its per-member values."""
    training = {"steps": 20, "warmup": 2, "dropout": 0.0, "clip_norm": 0.0, "learning_rate": 0.01, **(training or {})}
    made = config.from_dict({"training": training, "seeds": seeds, **sections})
    model = _model(**(model or {}))
    return step.program(made, model, steps=20, class_weights=class_weights), config.member_values(made)


def _cohort(program, seeds):
    make = functools.partial(state.new_cohort, program.model, program.direction, average=program.average)
    return jax.jit(make)(jnp.int32(len(seeds)), jnp.asarray(seeds, jnp.uint32), {}, None)


def _batch(seed, number, shape=(6, 8), filler=1):
    """A batch of one member: another one for each seed and update."""
    rng = np.random.default_rng([seed, number])
    size, length = shape
    lengths = rng.integers(2, length + 1, size)
    valid = np.arange(length) < lengths[:, None]
    tokens = np.where(valid, rng.integers(1, VOCABULARY, shape), 0).astype(np.int32)
    labels, weight = rng.integers(0, CLASSES, size).astype(np.int32), np.ones(size, np.float32)
    if filler:
        tokens[-filler:], valid[-filler:], labels[-filler:], weight[-filler:] = 0, False, -1, 0.0
    return {"tokens": tokens, "valid": valid, "labels": labels, "weight": weight}


def _stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _train(program, values, seeds, axis="map", shapes=SHAPES, updates=4):
    cohort = _cohort(program, seeds)
    update, members = step.cohort_step(program, axis), cohort.members
    for number in range(updates):
        batch = _stack([_batch(seed, number, shapes[number % len(shapes)]) for seed in seeds])
        members, _ = update(jnp.int32(len(seeds)), members, batch, values)
    return jax.device_get(members)


def _one(program, values, batch, member=None):
    """One update of the first member, outside of any cohort."""
    member = member or jax.tree.map(lambda leaf: leaf[0], _cohort(program, [0]).members)
    values = {name: value[0] for name, value in values.items()}
    return jax.jit(functools.partial(step.train_step, program))(member, batch, values)


def _equal(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


EVERYTHING = {"dropout": 0.3, "ema_decay": 0.9, "accumulation": 2, "word_dropout": 0.2, "clip_norm": 0.5, "batch_size": 6}


@pytest.mark.parametrize(
    ("training", "model"),
    [
        ({"dropout": 0.3}, {}),
        (EVERYTHING, {}),
        ({"optimizer": "lion"}, {"encoding": "rope", "kernel": "chunked"}),
        ({"optimizer": "adafactor(factor_from=8)"}, {"encoding": "shaw", "pooling": "additive"}),
        ({"optimizer": "sgd"}, {"encoding": "learned + t5", "normalizer": "sparsemax", "pooling": "cls"}),
    ],
)
def test_member_of_a_cohort_is_bitwise_the_single_run(training, model):
    seeds = (3, 0, 7)
    program, values = _program(training, seeds, model)
    together = _train(program, values, seeds)
    for index, seed in enumerate(seeds):
        alone = _train(program, {name: value[index : index + 1] for name, value in values.items()}, (seed,))
        assert _equal(jax.tree.map(lambda leaf: leaf[index : index + 1], together), alone)  # noqa: B023
    table = together.params["embedding"]["table"]
    assert not np.array_equal(table[0], table[1])


def test_vmap_is_map_to_a_tolerance():
    seeds = (0, 1)
    program, values = _program({"dropout": 0.3}, seeds)
    mapped, vmapped = (_train(program, values, seeds, axis) for axis in ("map", "vmap"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5), mapped.params, vmapped.params)


def test_a_member_that_fails_is_frozen_and_the_others_go_on():
    seeds = (0, 1, 2)
    program, values = _program({"ema_decay": 0.5, "optimizer": "sgd(momentum=0.9)"}, seeds)
    wild = {**values, "learning_rate": np.array([0.01, 1e30, 0.01], np.float32)}
    update, members = step.cohort_step(program, "map"), _cohort(program, seeds).members
    history = []
    for number in range(4):
        members, _ = update(jnp.int32(3), members, _stack([_batch(seed, number) for seed in seeds]), wild)
        history.append(jax.device_get(members))
    assert history[-1].active.tolist() == [True, False, True]
    failed = int(history[-1].failed_at[1])
    assert history[-1].failed_at.tolist() == [-1, failed, -1]
    assert 1 <= failed <= 2
    assert history[-1].step.tolist() == [4, failed, 4]
    for later in history[failed:]:  # bitwise what it was before the update that failed, whole state
        before = history[failed - 1]._replace(active=later.active, failed_at=later.failed_at)
        assert _equal(jax.tree.map(lambda leaf: leaf[1], later), jax.tree.map(lambda leaf: leaf[1], before))  # noqa: B023
    tame = _train(program, values, seeds, shapes=((6, 8),))
    for index in (0, 2):
        assert _equal(*(jax.tree.map(lambda leaf: leaf[index], tree) for tree in (history[-1], tame)))  # noqa: B023


def test_a_stopped_member_keeps_everything():
    program, values = _program({"ema_decay": 0.5}, (0, 1))
    cohort = _cohort(program, (0, 1))
    cohort = state.keep_best(cohort, jnp.array([False, False]), jnp.array([True, False]))
    before = jax.device_get(cohort.members)
    batch = _stack([_batch(seed, 0) for seed in (0, 1)])
    after, _ = step.cohort_step(program, "map")(jnp.int32(2), cohort.members, batch, values)
    take = lambda tree, m: jax.tree.map(lambda leaf: np.asarray(leaf)[m], tree)
    assert _equal(take(after, 1), take(before, 1))
    assert int(after.step[0]) == 1


def test_best_weights_are_kept_per_member():
    program, values = _program({"ema_decay": 0.5}, (0, 1))
    cohort = _cohort(program, (0, 1))
    first = jax.device_get(cohort.best)
    batch = _stack([_batch(seed, 0) for seed in (0, 1)])
    members, _ = step.cohort_step(program, "map")(jnp.int32(2), cohort.members, batch, values)
    kept = state.keep_best(state.Cohort(members, first), jnp.array([True, False]), jnp.array([True, True]))
    assert _equal(jax.tree.map(lambda leaf: leaf[0], kept.best), jax.tree.map(lambda leaf: leaf[0], members.average))
    assert _equal(jax.tree.map(lambda leaf: leaf[1], kept.best), jax.tree.map(lambda leaf: leaf[1], first))
    assert not _equal(members.average, members.params)


def test_sums_are_taken_and_begun_anew():
    program, values = _program()
    members = jax.tree.map(lambda leaf: leaf[None], _one(program, values, _batch(0, 0)))
    rest, sums = state.take_sums(members)
    assert sums["examples"].tolist() == [5.0]
    assert sums["updates"].tolist() == [1.0]
    assert all(float(leaf[0]) == 0.0 for leaf in rest.sums.values())


@pytest.mark.parametrize("class_weights", [None, (0.5, 1.0, 3.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_that_of_numpy(smoothing, class_weights):
    program, values = _program({"label_smoothing": smoothing}, class_weights=class_weights)
    batch = _batch(0, 0, (6, 8), filler=2)
    member = jax.tree.map(lambda leaf: leaf[0], _cohort(program, [0]).members)
    logits, _ = program.model.apply({"params": member.params}, batch["tokens"], batch["valid"], train=True)
    logits = np.asarray(logits, np.float64)[:4]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = np.eye(CLASSES)[batch["labels"][:4]] * (1 - smoothing) + smoothing / CLASSES
    weights = np.ones(4) if class_weights is None else np.array(class_weights)[batch["labels"][:4]]
    sums = _one(program, values, batch).sums
    np.testing.assert_allclose(sums["loss"], (weights * -(target * log_p).sum(-1)).sum(), rtol=1e-5)
    np.testing.assert_allclose(sums["weight"], weights.sum(), rtol=1e-6)
    assert float(sums["correct"]) == (logits.argmax(-1) == batch["labels"][:4]).sum()


def test_filler_changes_nothing():
    program, values = _program()
    batch = _batch(0, 0, (6, 8), filler=2)
    short = {name: value[:4] for name, value in batch.items()}
    full, cut = _one(program, values, batch), _one(program, values, short)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), full.params, cut.params)


@pytest.mark.parametrize("parts", [2, 3])
def test_accumulation_is_the_batch_at_once(parts):
    # The last part is filler alone. Sums are taken in another order: float32 rounding, which sgd does not enlarge.
    results = []
    for accumulation in (1, parts):
        training = {"accumulation": accumulation, "batch_size": 6, "optimizer": "sgd", "label_smoothing": 0.1}
        program, values = _program(training, class_weights=(0.5, 1.0, 3.0))
        results.append(_one(program, values, _batch(0, 0, (6, 8), filler=3)))
    one, other = results
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), one.params, other.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), one.sums, other.sums)


def test_norms_and_clipping():
    program, values = _program({"optimizer": "sgd(momentum=0.0)", "weight_decay": 0.0, "warmup": 0})
    start = jax.tree.map(lambda leaf: leaf[0], _cohort(program, [0]).members)
    free = _one(program, values, _batch(0, 0))
    moved = jax.tree.map(lambda a, b: (a - b) / 0.01, start.params, free.params)
    size = lambda tree: np.sqrt(sum(float((np.asarray(leaf, np.float64) ** 2).sum()) for leaf in jax.tree.leaves(tree)))
    np.testing.assert_allclose(size(moved), free.sums["gradient_norm"], rtol=1e-3)
    np.testing.assert_allclose(size(free.params), free.sums["weight_norm"], rtol=1e-5)
    training = {"optimizer": "sgd(momentum=0.0)", "weight_decay": 0.0, "warmup": 0, "clip_norm": 0.1}
    clipped = _one(*_program(training), _batch(0, 0))
    np.testing.assert_allclose(size(jax.tree.map(lambda a, b: (a - b) / 0.01, start.params, clipped.params)), 0.1, rtol=1e-3)
    np.testing.assert_allclose(clipped.sums["gradient_norm"], free.sums["gradient_norm"], rtol=1e-5)


def test_moving_average_follows_the_weights():
    program, values = _program({"ema_decay": 0.9})
    member = jax.tree.map(lambda leaf: leaf[0], _cohort(program, [0]).members)
    expected = np.asarray(member.average["head"]["kernel"], np.float64)
    for number in range(3):
        member = _one(program, values, _batch(0, number), member)
        d = min(0.9, (1 + number) / (10 + number))
        expected = d * expected + (1 - d) * np.asarray(member.params["head"]["kernel"], np.float64)
    np.testing.assert_allclose(member.average["head"]["kernel"], expected, rtol=1e-5, atol=1e-7)


def test_frozen_embeddings_stay_while_the_rest_moves():
    sections = {"model": {"frozen_embeddings": True}}
    program, values = _program({"weight_decay": 0.1}, model={"frozen_embeddings": True}, **sections)
    start = jax.tree.map(lambda leaf: leaf[0], _cohort(program, [0]).members)
    after = _one(program, values, _batch(0, 0))
    assert np.array_equal(start.params["embedding"]["table"], after.params["embedding"]["table"])
    assert not np.array_equal(start.params["head"]["kernel"], after.params["head"]["kernel"])


def test_word_dropout_hides_that_share_of_words_and_no_padding():
    seen = []

    class Recorder:
        def apply(self, variables, tokens, valid, **_):
            seen.append((tokens, valid))
            return jnp.zeros((len(tokens), CLASSES)), {"loss": jnp.float32(0)}

    program, values = _program({"word_dropout": 0.25})
    batch = {**_batch(0, 0, (400, 24), filler=0)}
    batch["tokens"] = np.where(batch["valid"], 5, 0).astype(np.int32)
    values = {name: value[0] for name, value in values.items()}
    step.objective(
        program._replace(model=Recorder()),
        {},
        {**batch, "real": batch["weight"]},
        values,
        jax.random.key(0),
        jnp.float32(400),
    )
    tokens, valid = (np.asarray(x) for x in seen[0])
    assert set(np.unique(tokens[~valid])) == {0}
    assert set(np.unique(tokens[valid])) == {1, 5}
    assert (tokens[valid] == 1).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("name", ["dropout", "word_dropout", "label_smoothing", "weight_decay", "learning_rate"])
def test_a_traced_value_acts_without_compiling_again(name):
    program, values = _program({"dropout": 0.3, "word_dropout": 0.2, "label_smoothing": 0.1})
    update = step.cohort_step(program, "map")
    results = []
    for factor in (1.0, 0.5):
        members = _cohort(program, (0,)).members
        changed = {**values, name: values[name] * np.float32(factor)}
        results.append(update(jnp.int32(1), members, _stack([_batch(0, 0)]), changed)[0].params)
    assert not _equal(*results)
    assert update._cache_size() == 1


def test_streams_differ_by_purpose_seed_and_name_nothing_else():
    draw = lambda seed, purpose: jax.random.key_data(state.member_key(seed, purpose)).tolist()
    assert draw(0, "init") == draw(0, "init")
    assert len({tuple(draw(*pair)) for pair in ((0, "init"), (0, "update"), (1, "init"))}) == 3


def test_given_vectors_and_weights_replace_the_drawn_ones():
    program, _ = _program({"ema_decay": 0.9})
    matrix, found = np.full((VOCABULARY, 8), 2.0, np.float32), np.arange(VOCABULARY) == 4
    head = {"head": {"bias": np.array([[1.0] * CLASSES, [2.0] * CLASSES], np.float32)}}
    make = functools.partial(state.new_cohort, program.model, program.direction, average=True)
    members = make(jnp.int32(2), jnp.array([0, 1], jnp.uint32), head, (matrix, found)).members
    plain = _cohort(program, (0, 1)).members
    table, drawn = members.params["embedding"]["table"], plain.params["embedding"]["table"]
    assert (table[:, 4] == 2.0).all()
    assert np.array_equal(table[:, ~found], drawn[:, ~found])
    assert members.params["head"]["bias"].tolist() == head["head"]["bias"].tolist()
    assert _equal(members.average, members.params)
