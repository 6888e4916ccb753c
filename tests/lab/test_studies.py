"""Studies in docs: their configs cross, and their pages say what their numbers say."""

import ast
import json

import pytest

from attention.training import config, recipe
from configs.studies import length_generalisation as study
from studies import length_generalisation as page

ALL = [(task, name) for task in study.TASKS for name in study.VARIANTS]


@pytest.mark.parametrize(("task", "name"), ALL)
def test_every_run_of_the_study_can_be_built(task, name):
    made = config.from_dict(page.fields(task, name))
    assert made.data.source == task
    assert len(made.seeds) == 5
    recipe.checked_model(made)


def test_the_config_carries_its_header():
    header = ast.get_docstring(ast.parse((page.PAGE.parents[2] / "configs/studies/length_generalisation.py").read_text())) or ""
    assert "Command:" in header
    assert "Time:" in header


def test_the_page_says_what_the_numbers_say():
    found = json.loads(page.NUMBERS.read_text())
    text = page.PAGE.read_text()
    assert page.page(text, found) == text
    assert [(task, name) for task in found["tasks"] for name in found["tasks"][task]["variants"]] == ALL
    assert (found["seeds"], found["updates"]) == (5, study.get_config().training.steps)


def test_learned_positions_are_undefined_past_their_table_and_the_rest_is_not():
    found = json.loads(page.NUMBERS.read_text())
    for content in found["tasks"].values():
        for name, variant in content["variants"].items():
            beyond = [row["undefined"] for row in variant["ranges"] if row["above"] >= 40]
            assert all(beyond) if name == "learned" else not any(beyond)
            assert all(len(row["accuracy"]) == 5 for row in variant["ranges"])
