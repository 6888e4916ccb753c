"""A warmup that is not shorter than the run; budgets in tokens."""

import re

import numpy as np
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


LM = {"tokenizer": "characters", "max_length": 16}
WORDS = {"tokenizer": "words(pattern='whitespace')", "max_length": 72}


def model(source, data=None, **training):
    """The fields of a language model by characters, with no attention."""
    return {**toy.fields(source, **training), "task": "lm", "data": {"source": source, **LM, **(data or {})}}


@pytest.mark.parametrize("tokens", [1, 128, 129, 3000, 12_800])
def test_a_budget_in_tokens(source, tokens):
    """The fewest updates that read as many: 8 windows of 16 tokens, in the last of an epoch what is left."""
    made = recipe.experiment(config.from_dict(model(source, steps=0, tokens=tokens)))
    read = [16 * int((batch >= 0).sum()) for epoch in range(100) for batch in made.plan.epoch(epoch, 0)]
    assert len(set(read)) == 2, "no batch has filler"
    assert made.steps == 1 + np.searchsorted(np.cumsum(read), tokens)
    assert made.config.training.tokens == tokens, "the config stays what was asked for"


def test_warmup_and_validations_in_tokens(source):
    given = {"steps": 20, "warmup": 0, "warmup_tokens": 500, "eval_every": 0, "eval_tokens": 640}
    made = recipe.experiment(config.from_dict(model(source, **given)))
    assert [float(made.program.factor(step)) < 1 for step in range(4)] == [True, True, True, False]
    assert made.eval_every == 5
    made = recipe.experiment(config.from_dict(model(source, **{**given, "warmup_tokens": 12_800})))
    assert any("config.training.warmup_tokens=12800 is not less than the 20 updates" in note for note in made.data.notes)
    by_epoch = recipe.experiment(config.from_dict(model(source, eval_every=0)))
    assert by_epoch.eval_every == by_epoch.plan.steps_per_epoch


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            lambda source: model(source, data={"windows": "documents"}, steps=0, tokens=1000),
            "config.training.tokens=1000 wants windows of one length, config.data.windows=stream of texts; "
            "got config.data.windows=documents: give steps",
        ),
        (
            lambda source: model("induction(train=20, validation=5, test=5, lengths=0)", WORDS, warmup=0, warmup_tokens=9),
            "config.training.warmup_tokens=9 wants windows of one length, config.data.windows=stream of texts; "
            "got rows that the source has: give warmup",
        ),
        (lambda source: model(source, tokens=1000), "one of steps, epochs and tokens, the others 0; got steps=12, epochs=0"),
        (
            lambda source: model(source, eval_tokens=10),
            "wants one of eval_every and eval_tokens, the other 0; got eval_every=4",
        ),
        (lambda source: toy.fields(source, steps=0, tokens=10), "config.training.tokens is for config.task=lm, got 10"),
    ],
)
def test_tokens_that_cannot_be_counted(source, fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        recipe.experiment(config.from_dict(fields(source)))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("lm", "config.model.mask=causal & document wants config.data.windows=packed, got stream"),
        ("tagging", "config.model.mask=causal & document wants texts cut into segments, and those of config.task=tagging are"),
    ],
)
def test_segments_that_a_task_has_not(task, message):
    """What it cannot be given is not advised; said before anything is loaded."""
    with pytest.raises(ValueError, match=re.escape(message)):
        recipe.experiment(
            config.from_dict({"task": task, "model": {"mask": "causal & document"}, "data": {"source": "none.txt"}})
        )


@pytest.mark.parametrize("given", [{"windows": "documents"}, {"stride": 8}])
def test_rows_of_a_source_are_not_cut(given):
    [(name, value)] = given.items()
    own = model("induction(train=20, validation=5, test=5, lengths=0)", {**WORDS, **given})
    with pytest.raises(ValueError, match=rf"config\.data\.{name}={value} is of windows .*has rows of its own: leave it at "):
        recipe.experiment(config.from_dict(own))


@pytest.mark.parametrize(("task", "rival"), [("tagging", "kneser_ney"), ("lm", "perceptron"), ("lm", "linear")])
def test_a_rival_of_another_task(task, rival):
    fitting = {"kneser_ney": "lm", "perceptron": "tagging", "linear": "classification"}[rival]
    fields = {"task": task, "rival": rival, "model": {"mask": "causal"}}
    with pytest.raises(
        ValueError, match=rf"config\.rival={rival}(\(.*\))? is for config\.task={fitting}, got {task}; give none"
    ):
        recipe.checked_rival(config.from_dict(fields))


def test_tokens_of_an_example(source):
    made = recipe.experiment(config.from_dict(model(source)))
    assert made.tokens_per_example == 16
    assert recipe.experiment(config.from_dict(toy.fields(source))).tokens_per_example is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("book.md", "Call me Ishmael.\n"),
        ("book", "Call me Ishmael.\n"),
        ("book.txt", "[Illustration]\n\nCall me Ishmael.\n"),
        ("book.txt", "CHAPTER\t1\nCall me Ishmael.\n"),
        ("book.txt", "\ufeffCall me Ishmael.\n"),
        ("book.md", '"Call me Ishmael.\n'),
        ("book.md", '{"a": 1}\n'),
    ],
)
def test_how_plain_text_is_read_is_said_to_a_language_model(tmp_path, name, content):
    """Not to tasks of tables."""
    (tmp_path / name).write_bytes(content.encode("utf-16-le" if content[0] == "\ufeff" else "utf-8"))
    source = str(tmp_path / name)
    for fields, said in ((model(source), True), (toy.fields(source), False)):
        with pytest.raises(ValueError, match=r"first line has to name them|looks like JSON") as error:
            recipe.load_data(config.from_dict(fields))
        assert str(error.value).endswith("; plain text is read by text(path='FILE')") == said
