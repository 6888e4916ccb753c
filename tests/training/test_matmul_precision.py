"""``config.model.matmul_precision``: every product of an update and an evaluation has it, and older runs keep what they had."""

import json
import re

import jax
import jax.numpy as jnp
import pytest

from attention import precision
from attention.models.classifier import classifier
from attention.runs import json_files
from attention.runs.directory import RunDirectory
from attention.training import config as configs
from attention.training import describe, loop, recipe
from attention.training.cohort.update import cohort_step
from tests.support import toy

PRODUCT = re.compile(r"stablehlo\.(?:dot_general|convolution).*?precision\w* = \[#?(?:stablehlo<precision )?(\w+)")


def fields(folder, **model):
    made = toy.fields(toy.write_data(folder))
    made["model"] = {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8, **model}
    return made


def update(settings):
    """The update of a config, and its arguments."""
    made = recipe.experiment(settings)
    members, batch, values = describe.abstract_members(made), describe.filler(made), configs.member_values(settings)
    return cohort_step(made.program, "vmap"), (jnp.int32(len(settings.seeds)), members, batch, values)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])  # the latter multiplies by itself
@pytest.mark.parametrize("name", precision.PRECISIONS)
def test_every_product_of_an_update(tmp_path, name, optimizer, kernel):
    made = fields(tmp_path, matmul_precision=name, kernel=kernel)
    made["training"]["optimizer"] = optimizer
    step, given = update(configs.from_dict(made))
    text = step.trace(*given).lower(lowering_platforms=("cuda",)).as_text()
    found = PRODUCT.findall(text)
    assert len(found) == text.count("stablehlo.dot_general") > 10
    assert set(found) == {name.upper()}


@pytest.mark.parametrize("name", precision.PRECISIONS)
def test_every_product_of_an_evaluation(tmp_path, name):
    """Whatever JAX is told beside."""
    model = recipe.checked_model(configs.from_dict(fields(tmp_path, matmul_precision=name)))
    example = model.example()
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), **example))
    for setting in ("default", "highest"):
        with jax.default_matmul_precision(setting):
            traced = jax.jit(lambda params: model.apply(params, **example)).trace(params)
            found = PRODUCT.findall(traced.lower(lowering_platforms=("tpu",)).as_text())
        assert len(found) > 5
        assert set(found) == {name.upper()}


def test_on_a_cpu_it_changes_nothing(tmp_path):
    """Not a bit, so runs of before can be gone on with."""
    results = {}
    for name in precision.PRECISIONS:
        loop.train(configs.from_dict(fields(tmp_path, matmul_precision=name)), tmp_path / name)
        results[name] = json.loads((tmp_path / name / "result.json").read_text())["members"]
    assert results["highest"] == results["default"] == results["high"]


@pytest.mark.parametrize(("platform", "had"), [("gpu", "default"), ("cpu", "highest")])
def test_a_run_of_before_evaluates_with_what_it_had(tmp_path, platform, had):
    settings = configs.from_dict(fields(tmp_path))
    loop.train(settings, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    assert configs.from_dict(run.read_config()).model.matmul_precision == "highest"
    stored, identity = run.read_config(), json_files.read(run.identity)
    for model in (stored["model"], identity["config"]["model"]):
        del model["matmul_precision"]
    json_files.write(run.config, stored)
    json_files.write(run.identity, identity)
    json_files.write(run.environment, {**run.read_environment(), "platform": platform})
    assert configs.from_dict(run.read_config()).model.matmul_precision == had
    if had == "highest":
        loop.train(settings, run.path)  # it is the same run
    else:
        with pytest.raises(ValueError, match='precision is "default" there, "highest" given'):
            loop.train(settings, run.path)
    loop.train(configs.from_dict(fields(tmp_path, matmul_precision=had)), run.path)


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config.model.matmul_precision wants one of highest, high, default, got 'hig'"):
        configs.from_dict(fields(tmp_path, matmul_precision="hig"))
    with pytest.raises(ValueError, match=r"matmul_precision must be one of .*nearest: 'highest'"):
        classifier(matmul_precision="highst", vocab_size=3, num_classes=2, max_length=8)
