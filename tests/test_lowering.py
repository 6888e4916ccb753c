"""Everything is lowered for CUDA and TPU: parts with their gradients, kernels, optimizers, and the steps of every config.

Lowering needs no device. It says that JAX has each operation for that platform, not that the platform's compiler takes the
program (``benchmarks/compile_for_accelerators.py``) or what it computes (``benchmarks/accelerator.py``).
"""

import functools

import jax
import jax.numpy as jnp
import pytest

import attention
from attention.data import batches
from attention.training import config as configs
from attention.training import config_files, describe, recipe
from attention.training.cohort.members import keep_best, new_cohort
from attention.training.cohort.predict import asked
from attention.training.cohort.update import cohort_step
from tests.support import sharded, toy
from tests.support.helpers import inputs, jit, params_of
from tests.support.rows import rows

PLATFORMS = ("cuda", "tpu")
ALWAYS = 6  # of the cases of a test that has many, one in so many is no slow one
KERNELS = [name for name, row in rows("kernel").items() if row.evidence.platform in ("", jax.default_backend())]


def many(cases):
    """Cases most of which are slow, so that every run of the quick tests has some."""
    return [case if number % ALWAYS == 0 else pytest.param(case, marks=pytest.mark.slow) for number, case in enumerate(cases)]


def lower(function, *arrays):
    """Traces once, and lowers for each platform; arrays may be shapes."""
    traced = (function if hasattr(function, "trace") else jit(function)).trace(*arrays)
    for platform in PLATFORMS:
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "func.func public @main" in text


@pytest.mark.parametrize("part", many(sharded.ALL), ids="-".join)
def test_every_part(part):
    apply, own, arrays = sharded.case(*part)
    floats = tuple(i for i, array in enumerate(arrays, 1) if array.dtype == jnp.float32)
    loss = lambda *given: jnp.sum(apply(*given) ** 2)
    lower(lambda *given: (apply(*given), jax.grad(loss, (0, *floats))(*given)), own, *arrays)


@pytest.mark.parametrize("mask", rows("mask"))
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_and_mask(kernel, mask):
    """With padding, a bias, dropout and a mapped axis."""
    query, key, value = inputs(T=48, S=48)
    params = params_of(encoding="t5")
    call = attention.Call(k_valid=jnp.arange(48) < jnp.array([[48], [31]]), rng=jax.random.key(0))
    segments = jnp.broadcast_to(jnp.arange(48) // 16, (2, 48))
    call = attention.Call(k_valid=call.k_valid, q_segments=segments, k_segments=segments, rng=call.rng)

    def loss(query, key, value, params):
        options = {"encoding": "t5", "mask": rows("mask")[mask].spec, "call": call, "dropout": 0.1, "kernel": kernel}
        return jnp.sum(attention.attend(query, key, value, params=params, **options) ** 2)

    stacked = [jnp.stack([array, array]) for array in (query, key, value)]
    lower(jax.vmap(jax.grad(loss, (0, 1, 2, 3)), in_axes=(0, 0, 0, None)), *stacked, params)


def lower_steps(settings):
    """First weights, an update under both axes, the choice of the best and what is said of a batch, for two members."""
    made = recipe.experiment(settings)
    members, batch, values = describe.abstract_members(made), describe.filler(made), configs.member_values(settings)
    count, seeds = jnp.int32(2), jax.ShapeDtypeStruct((2,), jnp.uint32)
    draw = functools.partial(new_cohort, made.program)
    lower(lambda count, seeds: draw(count, seeds, {}, None), count, seeds)
    for axis in ("vmap", "map"):
        lower(cohort_step(made.program, axis), count, members, batch, values)
    cohort = jax.eval_shape(lambda count, seeds: draw(count, seeds, {}, None), count, seeds)
    marks = jax.ShapeDtypeStruct((2,), jnp.bool_)
    lower(functools.partial(keep_best, made.program), cohort, marks, marks)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), members.params)
    given = asked(jax.tree.map(lambda leaf: leaf[0], batch))
    options = {"longest": made.plan.bucket_lengths[-1], **dict(made.task.search)}
    lower(
        lambda params, given, rng: made.task.forward(made.model, params, given, rng, **options), one, given, jax.random.key(0)
    )
    if made.task.telemetry is not None:
        read = batches.inputs(jax.tree.map(lambda leaf: leaf[0], batch))
        measure = functools.partial(made.task.telemetry.measure, made.model)
        lower(measure, one, read, jax.random.key(0))


@pytest.mark.parametrize("optimizer", many(rows("optimizer")))
def test_every_optimizer(optimizer, tmp_path):
    fields = toy.fields(toy.write_data(tmp_path), optimizer=rows("optimizer")[optimizer].spec)
    lower_steps(configs.from_dict({**fields, "seeds": (0, 1)}))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sources of a few texts, by task, for configs that read files or download them."""
    folder = tmp_path_factory.mktemp("files")
    classes = toy.write_data(folder)
    lines = ["text\ttags", *(f"the {word} runs\tDET NOUN VERB" for word in ("dog", "cat", "fox") * 10)]
    for name in ("a", "b", "c"):
        (folder / f"tagged-{name}.tsv").write_text("\n".join(lines) + "\n")
    tagged = ", ".join(f"{split}='{folder}/tagged-{name}.tsv'" for split, name in zip(("train", "validation", "test"), "abc"))
    return {"classification": classes, "lm": classes, "tagging": f"tagged({tagged})"}


@pytest.mark.parametrize("name", many(name for name in config_files.names() if name != "base"))
def test_every_config(name, files, monkeypatch, tmp_path):
    """With a few texts where a config reads files or downloads them; of a sweep, its base."""
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path))
    fields = config_files.base_config(name).to_dict()
    fields.pop("sweep", None)
    text = config_files.find(name)[0].read_text()
    if fields["task"] == "classification" or "ATTENTION_DATA_DIR" in text:
        fields["data"]["source"] = files[fields["task"]]
        fields["data"]["max_length"] = min(fields["data"]["max_length"], 64)
    fields["training"]["batch_size"] = 8
    fields["rival"] = "none"
    settings = configs.members(configs.from_dict(fields))[0]
    lower_steps(configs.from_dict({**configs.to_dict(settings), "seeds": (0, 1)}))
