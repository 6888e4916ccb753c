"""The combinators of a sweep's axes, and its search."""

import doctest
import math

import numpy as np
import pytest

from attention.lab import grid
from attention.lab.search import Search

ENCODINGS = grid.param("model.encoding", ["none", "rope"])
RATES = grid.param("training.learning_rate", {"slow": 1e-4, "fast": 1e-2})


def test_examples_of_the_module():
    found = doctest.testmod(grid)
    assert found.attempted >= 8
    assert not found.failed


def test_a_product_has_every_pair_once_and_keeps_the_names_apart():
    table = grid.product(ENCODINGS, RATES)
    assert [variant.names for variant in table] == [("none", "slow"), ("none", "fast"), ("rope", "slow"), ("rope", "fast")]
    assert table[3].fields == {"model.encoding": "rope", "training.learning_rate": 1e-2}
    assert len(grid.product(table, grid.param("model.mask", ["none", "causal"]))) == 8


def test_zip_chain_where_and_subsample():
    assert [variant.fields for variant in grid.zip(ENCODINGS, RATES)] == [
        {"model.encoding": "none", "training.learning_rate": 1e-4},
        {"model.encoding": "rope", "training.learning_rate": 1e-2},
    ]
    assert grid.chain(ENCODINGS, RATES) == [*ENCODINGS, *RATES]
    table = grid.product(ENCODINGS, RATES)
    assert grid.where(table, lambda fields: fields["model.encoding"] == "rope") == table[2:]
    drawn = grid.subsample(table, 3, seed=1)
    assert len(drawn) == 3
    assert [variant for variant in table if variant in drawn] == drawn
    assert grid.subsample(table, 4, seed=0) == table
    assert len({tuple(v.name for v in grid.subsample(table, 2, seed=seed)) for seed in range(40)}) == 6  # every pair comes up


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grid.param("model.encoding", []), "needs a list of one or more values"),
        (lambda: grid.param("model.encoding", "rope"), "needs a list of one or more values, got 'rope'"),
        (lambda: grid.product(), "product needs axes with variants; got none"),
        (lambda: grid.product(ENCODINGS, grid.where(RATES, lambda _: False)), "axis 2 of 2 is empty"),
        (lambda: grid.product(ENCODINGS, ENCODINGS), "two axes set model.encoding"),
        (lambda: grid.zip(ENCODINGS, grid.param("model.mask", ["none"])), "zip needs axes of one length, got 2, 1"),
        (lambda: grid.subsample(ENCODINGS, 3, seed=0), "subsample takes 1 to 2 of 2 variants, got 3"),
    ],
)
def test_bad_axes_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_draws_fill_their_range_and_depend_on_the_seed_alone():
    ranges = {
        "training.learning_rate": "log(1e-5, 1e-1)",
        "training.dropout": "uniform(0.1, 0.5)",
        "training.weight_decay": "choice(0.1, 1)",
    }
    drawn = Search.read(ranges, 4000, 2, 7).draws()
    rates = np.log10([trial["training.learning_rate"] for trial in drawn])
    # uniform over [-5, -1]: mean -3, standard deviation 4 / sqrt(12)
    assert rates.min() >= -5
    assert rates.max() <= -1
    assert rates.mean() == pytest.approx(-3, abs=0.08)
    assert rates.std() == pytest.approx(4 / math.sqrt(12), abs=0.04)
    dropouts = np.array([trial["training.dropout"] for trial in drawn])
    assert dropouts.min() >= 0.1
    assert dropouts.max() <= 0.5
    assert dropouts.mean() == pytest.approx(0.3, abs=0.01)
    shares = np.mean([trial["training.weight_decay"] == 1 for trial in drawn])
    assert shares == pytest.approx(0.5, abs=0.04)
    assert {trial["training.weight_decay"] for trial in drawn} == {0.1, 1.0}
    assert abs(np.corrcoef(rates, dropouts)[0, 1]) < 0.05
    assert Search.read(ranges, 4000, 2, 7).draws() == drawn != Search.read(ranges, 4000, 2, 8).draws()
    fewer = Search.read({"training.learning_rate": "log(1e-5, 1e-1)"}, 10, 0, 7).draws()
    assert [trial["training.learning_rate"] for trial in fewer] == [trial["training.learning_rate"] for trial in drawn[:10]]


@pytest.mark.parametrize(
    ("ranges", "trials", "halvings", "message"),
    [
        ({"training.learning_rat": "log(1, 2)"}, 4, 0, "nearest: 'training.learning_rate'"),
        ({"model.dim": "choice(32, 64)"}, 4, 0, "takes fields that members of a cohort may differ in"),
        ({"training.dropout": "log(0, 1)"}, 4, 0, "got 'log.0, 1.'"),
        ({"training.dropout": "uniform(0.5, 0.1)"}, 4, 0, "low < high"),
        ({"training.dropout": "uniform(0.5)"}, 4, 0, "low < high"),
        ({"training.dropout": "normal(0, 1)"}, 4, 0, "got 'normal.0, 1.'"),
        ({"training.dropout": "choice()"}, 4, 0, "got 'choice..'"),
        ({"training.dropout": "0.1"}, 4, 0, "got '0.1'"),
        ({"training.dropout": "uniform(0, 0.5)"}, 1, 0, "needs at least 2 trials"),
        ({"training.dropout": "uniform(0, 0.5)"}, 4, 3, "got 4 trials, 3 halvings"),
    ],
)
def test_bad_searches_say_what_is_wrong(ranges, trials, halvings, message):
    with pytest.raises(ValueError, match=message):
        Search.read(ranges, trials, halvings, 0)
