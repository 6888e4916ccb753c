"""A warmup that is not shorter than the run."""

import pytest

from attention.training import config, recipe
from tests.support import toy


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return toy.write_data(tmp_path_factory.mktemp("recipe"))


@pytest.mark.parametrize(
    ("training", "steps", "rising"),
    [
        ({"steps": 20, "warmup": 200}, 20, 2),
        ({"steps": 20, "warmup": 20}, 20, 2),
        ({"steps": 20, "warmup": 19}, 20, 19),
        ({"steps": 8, "warmup": 100}, 8, 0),
        ({"steps": 0, "epochs": 0.1, "warmup": 100}, 1, 0),
    ],
)
def test_a_warmup_as_long_as_the_run_is_a_tenth_of_it(source, training, steps, rising):
    given = config.from_dict(toy.fields(source, **training))
    made = recipe.experiment(given)
    assert made.steps == steps
    assert made.config.training.warmup == training["warmup"], "the config stays what was asked for"
    factors = [float(made.program.factor(step)) for step in range(steps)]
    assert sum(factor < 1 for factor in factors[:rising]) == max(rising - 1, 0)
    assert factors[max(rising - 1, 0)] == 1
    notes = [note for note in made.data.notes if "warmup" in note]
    said = f"config.training.warmup={training['warmup']} is not less than the {steps} updates of this run: "
    rises = f"rises over {rising} of them" if rising else "begins at its peak"
    assert notes == ([] if training["warmup"] < steps else [f"{said}the learning rate {rises}"])
