import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.models.classifier import classifier
from attention.training import config
from attention.training.cohort import members as state
from attention.training.cohort import update as step
from attention.training.cohort.program import program as program_of

CLASSES, VOCABULARY = 3, 11


@functools.cache
def _model(**fields):
    return classifier(
        **{"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8, **fields},
        vocab_size=VOCABULARY,
        num_classes=CLASSES,
        max_length=24,
    )


@functools.cache
def _compiled(program_options, model, class_weights):
    settings = config.from_dict({"training": dict(program_options)})
    return program_of(settings, model, steps=20, warmup=settings.training.warmup, class_weights=class_weights)


def _program(training=None, seeds=(0,), model=None, class_weights=None):
    """A config, its program and its per-member values."""
    training = {"steps": 20, "warmup": 2, "dropout": 0.0, "clip_norm": 0.0, "learning_rate": 0.01, **(training or {})}
    made = config.from_dict({"training": training, "seeds": seeds})
    compiled = _compiled(tuple(training.items()), _model(**(model or {})), class_weights)
    return compiled, config.member_values(made)


@functools.partial(jax.jit, static_argnums=0)
def _drawn(model, count, seeds):
    program = _compiled((("steps", 20), ("warmup", 2), ("optimizer", "sgd")), model, None)
    return state.new_cohort(program, count, seeds, {}, None).best


def _cohort(program, seeds):
    """A new cohort; what draws its weights is compiled once for each model and number of members."""
    params = jax.device_get(_drawn(program.model, jnp.int32(len(seeds)), jnp.asarray(seeds, jnp.uint32)))
    members = [
        state.new_member(program, jax.tree.map(lambda leaf: leaf[m], params))  # noqa: B023
        for m in range(len(seeds))
    ]
    return jax.tree.map(jnp.array, state.Cohort(_stack(members), params))


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


def _train(program, values, seeds, update, shape=(6, 8), updates=4):
    members = _cohort(program, seeds).members
    for number in range(updates):
        batch = _stack([_batch(seed, number, shape) for seed in seeds])
        members, _ = update(jnp.int32(len(seeds)), members, batch, values)
    return jax.device_get(members)


@functools.cache
def _single(program):
    return jax.jit(functools.partial(step.train_step, program))


def _one(program, values, batch, member=None):
    """One update of the first member, outside of any cohort."""
    member = member or _first(_cohort(program, [0]).members)
    return _single(program)(member, batch, {name: value[0] for name, value in values.items()})


def _first(tree):
    return jax.tree.map(lambda leaf: leaf[0], tree)


@functools.cache
def _update(program, axis="map"):
    return step.cohort_step(program, axis)


def _equal(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


EVERYTHING = {
    "optimizer": "adamw",
    "dropout": 0.3,
    "ema_decay": 0.9,
    "accumulation": 2,
    "word_dropout": 0.2,
    "clip_norm": 0.5,
    "batch_size": 6,
}


@pytest.mark.parametrize(
    ("training", "model", "shape"),
    [
        (EVERYTHING, {}, (6, 8)),
        (
            {"optimizer": "adafactor(factor_from=8)"},
            {"encoding": "shaw", "normalizer": "sparsemax", "kernel": "chunked"},
            (6, 16),
        ),
    ],
)
def test_member_of_a_cohort_is_bitwise_the_single_run(training, model, shape):
    seeds = (3, 0, 7)
    program, values = _program(training, seeds, model)
    update = _update(program)
    together = _train(program, values, seeds, update, shape)
    for index, seed in enumerate(seeds):
        own = {name: value[index : index + 1] for name, value in values.items()}
        alone = _train(program, own, (seed,), update, shape)
        assert _equal(jax.tree.map(lambda leaf: leaf[index : index + 1], together), alone)  # noqa: B023
    table = together.params["embedding"]["table"]
    assert not np.array_equal(table[0], table[1])


# What the tests of cohorts share: sgd, since Adam makes the rounding of gradients that are zero, as those of the keys'
# biases, as large as any other.
SEEDS, COHORT = (0, 1, 2), {"ema_decay": 0.5, "optimizer": "sgd"}


def _batches(number=0):
    return _stack([_batch(seed, number) for seed in SEEDS])


def _member(tree, index):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


def test_vmap_is_map_to_a_tolerance():
    program, values = _program(COHORT, SEEDS)
    mapped, vmapped = (_train(program, values, SEEDS, _update(program, axis)) for axis in ("map", "vmap"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), mapped.params, vmapped.params)


def test_a_member_that_fails_is_frozen_and_the_others_go_on():
    program, values = _program(COHORT, SEEDS)
    wild = {**values, "learning_rate": np.array([0.01, 1e30, 0.01], np.float32)}
    members, history = _cohort(program, SEEDS).members, []
    for number in range(4):
        members, _ = _update(program)(jnp.int32(3), members, _batches(number), wild)
        history.append(jax.device_get(members))
    assert history[-1].active.tolist() == [True, False, True]
    failed = int(history[-1].failed_at[1])
    assert 1 <= failed <= 2
    assert history[-1].failed_at.tolist() == [-1, failed, -1]
    assert history[-1].step.tolist() == [4, failed, 4]
    for later in history[failed:]:  # bitwise what it was before the update that failed, whole state
        before = history[failed - 1]._replace(active=later.active, failed_at=later.failed_at)
        assert _equal(_member(later, 1), _member(before, 1))
    tame = _train(program, values, SEEDS, _update(program))
    for index in (0, 2):
        assert _equal(_member(history[-1], index), _member(tame, index))


def test_a_stopped_member_keeps_everything():
    program, values = _program(COHORT, SEEDS)
    cohort = state.keep_best(program, _cohort(program, SEEDS), jnp.zeros(3, bool), jnp.array([True, False, True]))
    before = jax.device_get(cohort.members)
    after, _ = _update(program)(jnp.int32(3), cohort.members, _batches(), values)
    assert _equal(_member(after, 1), _member(before, 1))
    assert after.step.tolist() == [1, 0, 1]


def test_best_weights_are_kept_per_member():
    program, values = _program(COHORT, SEEDS)
    cohort = _cohort(program, SEEDS)
    first = jax.tree.map(jnp.copy, cohort.best)
    members, _ = _update(program)(jnp.int32(3), cohort.members, _batches(), values)
    kept = state.keep_best(program, state.Cohort(members, first), jnp.array([True, False, True]), jnp.ones(3, bool))
    assert _equal(_member(kept.best, 0), _member(members.average, 0))
    assert _equal(_member(kept.best, 1), _member(first, 1))
    assert not _equal(members.average, members.params)


# What the tests of single updates share. The rate of the first update is half of the peak: there are 2 of warmup.
WEIGHTS, SINGLE, RATE = (0.5, 1.0, 3.0), {"optimizer": "sgd", "batch_size": 6}, 0.005


def _shared(**values):
    program, given = _program(SINGLE, class_weights=WEIGHTS)
    return program, {**given, **{name: np.float32([value]) for name, value in values.items()}}


def test_sums_are_taken_and_begun_anew():
    members = jax.tree.map(lambda leaf: leaf[None], _one(*_shared(), _batch(0, 0)))
    rest, sums = state.take_sums(members)
    assert sums["examples"].tolist() == [5.0]
    assert sums["updates"].tolist() == [1.0]
    assert all(float(leaf[0]) == 0.0 for leaf in rest.sums.values())


def test_unweighted_examples_count_once():
    program, _ = _program()
    weight = np.float32([1, 0])
    assert program.task.example_weights({"weight": jnp.asarray(weight), "labels": jnp.array([2, -1])}, None).tolist() == [1, 0]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_that_of_numpy(smoothing):
    program, values = _shared(label_smoothing=smoothing)
    batch = _batch(0, 0, (6, 8), filler=2)
    member = _first(_cohort(program, [0]).members)
    apply = jax.jit(lambda params, *rest: program.model.apply({"params": params}, *rest, train=True)[0])
    logits = np.asarray(apply(member.params, batch["tokens"], batch["valid"]), np.float64)[:4]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = np.eye(CLASSES)[batch["labels"][:4]] * (1 - smoothing) + smoothing / CLASSES
    weights = np.array(WEIGHTS)[batch["labels"][:4]]
    sums = _one(program, values, batch).sums
    np.testing.assert_allclose(sums["loss"], (weights * -(target * log_p).sum(-1)).sum(), rtol=1e-5)
    np.testing.assert_allclose(sums["weight"], weights.sum(), rtol=1e-6)
    assert float(sums["correct"]) == (logits.argmax(-1) == batch["labels"][:4]).sum()


def test_filler_changes_nothing_and_the_loss_is_a_mean():
    program, values = _shared()
    batch = _batch(0, 0, (6, 8), filler=3)
    twice = {name: np.concatenate([value[:3], value[:3]]) for name, value in batch.items()}
    one, other = (_one(program, values, each).params for each in (batch, twice))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), one, other)


def test_accumulation_is_the_batch_at_once():
    # The last part is filler alone. Sums are taken in another order: float32 rounding, which sgd does not enlarge.
    batch = _batch(0, 0, (6, 8), filler=3)
    one = _one(*_shared(label_smoothing=0.1), batch)
    program, values = _program({**SINGLE, "accumulation": 3, "label_smoothing": 0.1}, class_weights=WEIGHTS)
    other = _one(program, values, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), one.params, other.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), one.sums, other.sums)


def test_norms_and_clipping():
    size = lambda tree: np.sqrt(sum(float((np.asarray(leaf, np.float64) ** 2).sum()) for leaf in jax.tree.leaves(tree)))
    program, values = _shared(weight_decay=0.0)
    start = _first(_cohort(program, [0]).members).params
    free = _one(program, values, _batch(0, 0))
    moved = jax.tree.map(lambda a, b: (a - b) / RATE, start, free.params)
    np.testing.assert_allclose(size(moved), free.sums["gradient_norm"], rtol=1e-3)
    np.testing.assert_allclose(size(free.params), free.sums["weight_norm"], rtol=1e-5)
    clipped = _one(*_program({**CLIPPED, "weight_decay": 0.0}, class_weights=WEIGHTS), _batch(0, 0))
    moved = jax.tree.map(lambda a, b: (a - b) / RATE, start, clipped.params)
    np.testing.assert_allclose(size(moved), 0.1, rtol=1e-3)
    np.testing.assert_allclose(clipped.sums["gradient_norm"], free.sums["gradient_norm"], rtol=1e-5)


CLIPPED = {**SINGLE, "clip_norm": 0.1, "ema_decay": 0.15}


def test_moving_average_follows_the_weights():
    program, values = _program({**CLIPPED, "weight_decay": 0.0}, class_weights=WEIGHTS)
    member = _first(_cohort(program, [0]).members)
    expected = np.asarray(member.average["head"]["kernel"], np.float64)
    for number in range(3):
        member = _one(program, values, _batch(0, number), member)
        d = min(0.15, (1 + number) / (10 + number))  # 0.1, then 0.15
        expected = d * expected + (1 - d) * np.asarray(member.params["head"]["kernel"], np.float64)
    np.testing.assert_allclose(member.average["head"]["kernel"], expected, rtol=1e-5, atol=1e-7)


def test_what_an_optimizer_evaluates_is_kept():
    program, values = _program({"optimizer": "schedule_free_adamw"}, SEEDS)
    members, _ = _update(program)(jnp.int32(3), _cohort(program, SEEDS).members, _batches(), values)
    members, _ = _update(program)(jnp.int32(3), members, _batches(1), values)
    z = np.asarray(members.optimizer.z["head"]["kernel"], np.float64)
    x = (np.asarray(members.params["head"]["kernel"], np.float64) - 0.1 * z) / 0.9
    np.testing.assert_allclose(state.evaluated(program, members)["head"]["kernel"], x, rtol=1e-4, atol=1e-6)
    assert np.abs(x - z).max() > 1e-3


def test_frozen_embeddings_stay_while_the_rest_moves():
    program, values = _program({"weight_decay": 0.1}, model={"frozen_embeddings": True})
    program = program._replace(frozen_embeddings=True)
    start = _first(_cohort(program, [0]).members)
    after = _one(program, values, _batch(0, 0))
    assert np.array_equal(start.params["embedding"]["table"], after.params["embedding"]["table"])
    assert not np.array_equal(start.params["head"]["kernel"], after.params["head"]["kernel"])


def test_word_dropout_hides_that_share_of_words_and_no_padding():
    """The characters of a hidden word stay."""
    seen = []

    class Recorder:
        def apply(self, variables, tokens, valid, characters, **_):
            seen.append((tokens, valid, characters))
            return jnp.zeros((len(tokens), CLASSES)), {"loss": jnp.float32(0)}

    program, values = _program({"word_dropout": 0.25})
    batch = {**_batch(0, 0, (400, 24), filler=0)}
    batch["tokens"] = np.where(batch["valid"], 5, 0).astype(np.int32)
    batch["characters"] = np.where(batch["valid"][..., None], np.arange(2, 5), 0).astype(np.int32)
    values = {name: value[0] for name, value in values.items()}
    step.objective(
        program._replace(model=Recorder()),
        {},
        jax.tree.map(jnp.asarray, {**batch, "real": batch["weight"]}),
        jax.tree.map(jnp.asarray, values),
        jax.random.key(0),
        jnp.float32(400),
    )
    tokens, valid, characters = (np.asarray(x) for x in seen[0])
    assert np.array_equal(characters, batch["characters"])
    assert set(np.unique(tokens[~valid])) == {0}
    assert set(np.unique(tokens[valid])) == {1, 5}
    assert (tokens[valid] == 1).mean() == pytest.approx(0.25, abs=0.03)


def test_every_per_member_value_acts_without_compiling_again():
    training = {"dropout": 0.3, "word_dropout": 0.2, "label_smoothing": 0.1, "ema_decay": 0.05, "clip_norm": 0.2}
    program, values = _program({**training, "optimizer": "sgd"})
    update = _update(program)

    def updated(values):
        return jax.device_get(update(jnp.int32(1), _cohort(program, (0,)).members, _stack([_batch(0, 0)]), values)[0])

    plain = updated(values)
    for name in config.PER_MEMBER:
        assert not _equal(plain, updated({**values, name: values[name] * np.float32(0.5)})), name
    assert update._cache_size() == 1


def test_streams_differ_by_purpose_seed_and_name_nothing_else():
    draw = lambda seed, purpose: jax.random.key_data(state.member_key(seed, purpose)).tolist()
    assert draw(0, "init") == draw(0, "init")
    assert len({tuple(draw(*pair)) for pair in ((0, "init"), (0, "update"), (1, "init"))}) == 3


def test_given_vectors_and_weights_replace_the_drawn_ones():
    program, _ = _program({"ema_decay": 0.9})
    matrix, found = np.full((VOCABULARY, 8), 2.0, np.float32), np.arange(VOCABULARY) == 4
    head = {"head": {"bias": np.array([[1.0] * CLASSES, [2.0] * CLASSES], np.float32)}}
    make = functools.partial(state.new_cohort, program)
    members = jax.jit(make)(jnp.int32(2), jnp.array([0, 1], jnp.uint32), head, (matrix, found)).members
    plain = _cohort(program, (0, 1)).members
    table, drawn = members.params["embedding"]["table"], plain.params["embedding"]["table"]
    assert (table[:, 4] == 2.0).all()
    assert np.array_equal(table[:, ~found], drawn[:, ~found])
    assert members.params["head"]["bias"].tolist() == head["head"]["bias"].tolist()
    assert _equal(members.average, members.params)
