"""What every task promises: losses and scores by hand, filler that weighs nothing, and words for what a run says."""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention import specs
from attention.data.batches import gather, inputs
from attention.tasks import Examples
from attention.training.cohort.predict import asked
from tests.support.helpers import jit
from tests.support.rows import over_rows, rows
from tests.support.tasks import CLASSES, TEXTS, UNLABELLED, VOCABULARY, facts

every = over_rows("task")
LENGTH = 8


@functools.cache
def built(name):
    """The task, its model, and the parameters of two members."""
    task, evidence = specs.build("task", rows("task")[name].spec), rows("task")[name].evidence
    model, rng = model_of(task, evidence, VOCABULARY, len(CLASSES)), np.random.default_rng(0)
    shapes = shapes_of(model, batch_of(evidence))
    return task, model, jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.5, (2, *leaf.shape)), leaf.dtype), shapes)


def model_of(task, evidence, vocab_size, num_classes):
    given = {"vocab_size": vocab_size, "num_classes": num_classes, "max_length": LENGTH, **evidence.model}
    return task.model(**{option: given[option] for option in inspect.signature(task.model).parameters if option in given})


def shapes_of(model, batch):
    return jax.eval_shape(lambda rng: model.init(rng, **inputs(batch)), jax.random.key(0))["params"]


def batch_of(evidence, indices=(0, 1, 2, -1)):
    """The examples and filler."""
    return jax.tree.map(jnp.asarray, gather(evidence.encoded, np.array(indices), LENGTH))


@functools.cache
def forward(name):
    task, model, _ = built(name)
    return jit(lambda params, given: task.forward(model, params, given, jax.random.key(0), longest=LENGTH))


def said(name, *indices):
    """What the first member says of four examples."""
    one = jax.tree.map(lambda leaf: leaf[0], built(name)[2])
    return jax.tree.map(np.asarray, forward(name)(one, asked(batch_of(rows("task")[name].evidence, indices))))


@functools.cache
def logits_of(name):
    """What the model of the first member makes of the examples and filler."""
    _, model, params = built(name)
    one = jax.tree.map(lambda leaf: leaf[0], params)
    return jit(lambda p, given: model.apply({"params": p}, **given)[0])(one, inputs(batch_of(rows("task")[name].evidence)))


def first_member(evidence):
    return {name: array[0] for name, array in evidence.outputs.items()}


# ---- what is learned


@every
def test_loss_and_correctness(name, row):
    """Of each example, with and without smoothing; the first is made right."""
    task, evidence, batch = specs.build("task", row.spec), row.evidence, batch_of(row.evidence)
    answer, logits = np.asarray(batch[evidence.reads]), np.array(logits_of(name), np.float64)
    logits[0] += 8.0 * (np.eye(logits.shape[-1])[answer[0]] if evidence.sure is None else evidence.sure(answer[0]))
    for smoothing in (0.0, 0.2):
        losses, right = task.scored(jnp.float32(logits), batch, smoothing)
        wanted = [evidence.loss(logits[i], answer[i], smoothing) for i in range(3)]
        np.testing.assert_allclose(losses[:3], [loss for loss, _ in wanted], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(right[:3], [each for _, each in wanted])
        assert losses.shape == right.shape == (4,)
        assert np.isfinite(losses).all()
        if evidence.correct is not None:
            assert right[0]
            assert not (right[:3] == 1).all()


@every
def test_filler_weighs_nothing(name, row):
    task = specs.build("task", row.spec)
    for class_weights, wanted in row.evidence.weights.items():
        found = task.example_weights(batch_of(row.evidence), class_weights)
        assert np.asarray(found).tolist() == wanted
        assert found[3] == 0


@every
def test_a_split_that_cannot_be_learned_is_named(name, row):
    task, evidence = specs.build("task", row.spec), row.evidence
    assert task.lacks(evidence.encoded) is None
    assert task.answered(evidence.encoded)
    assert not task.answered(UNLABELLED)
    assert evidence.lacks
    for message, encoded in evidence.lacks:
        assert task.lacks(encoded) == message


@every
def test_a_model_of_the_size_of_the_data(name, row):
    """The one made before the data are known becomes the one made for them."""
    task, _, params = built(name)
    small, batch = model_of(task, row.evidence, 1, 1), batch_of(row.evidence)
    found = shapes_of(task.sized(small, VOCABULARY, len(CLASSES)), batch)
    assert jax.tree.map(lambda leaf: leaf.shape, found) == jax.tree.map(lambda leaf: leaf.shape[1:], params)
    assert shapes_of(small, batch) != found


# ---- what a run says


@every
def test_forward_is_pure(name, row):
    """Of an example it says the same alone and among others, and of a member alone and beside another."""
    batch = said(name, 0, 1, 2, -1)
    both = jax.vmap(forward(name), in_axes=(0, None))(built(name)[2], asked(batch_of(row.evidence)))
    assert set(batch) == set(row.evidence.outputs)
    for output, found in batch.items():
        assert found.shape[0] == 4
        assert found.ndim == row.evidence.outputs[output].ndim - 1
        np.testing.assert_allclose(both[output][0], found, rtol=1e-4, atol=1e-5, err_msg=output)
        np.testing.assert_allclose(said(name, 2, -1, -1, -1)[output][0], found[2], rtol=1e-4, atol=1e-5, err_msg=output)
    assert not all(np.array_equal(found[0], found[1]) for found in both.values())


@every
def test_options_of_a_search_have_the_values_of_training(name, row):
    task = specs.build("task", row.spec)
    parameters = inspect.signature(task.forward).parameters
    options = {each: parameters[each].default for each in parameters if parameters[each].default is not inspect.Parameter.empty}
    assert dict(task.search) == options


@every
def test_negative_log_likelihood_is_the_loss(name, row):
    """That of evaluation is the weighted mean of the losses of training, without smoothing."""
    task, batch = specs.build("task", row.spec), batch_of(row.evidence)
    if "nll" not in {metric.name for metric in task.metrics}:
        return
    losses, _ = task.scored(logits_of(name), batch, 0.0)
    weights = task.example_weights(batch, None)
    outputs = {output: found[:3] for output, found in said(name, 0, 1, 2, -1).items()}
    found = task.scores(outputs, row.evidence.encoded)["nll"]
    np.testing.assert_allclose(found, np.sum(losses * weights) / np.sum(weights), rtol=1e-5)


@every
def test_scores_by_hand(name, row):
    task, evidence = specs.build("task", row.spec), row.evidence
    found = task.scores(first_member(evidence), evidence.encoded)
    undefined = {metric for metric, value in evidence.scores.items() if value is None}
    assert {metric for metric, value in found.items() if value is None} == undefined
    for metric in set(found) - undefined:
        assert found[metric] == pytest.approx(evidence.scores[metric], rel=1e-6), metric
    assert set(found) == {metric.name for metric in task.metrics} | {"count"}
    assert found["count"] == 3
    with pytest.raises(ValueError, match=evidence.unscored):
        task.scores(first_member(evidence), UNLABELLED)


@every
def test_metrics_have_names_and_a_direction(name, row):
    task = specs.build("task", row.spec)
    for words in zip(*((metric.name, metric.head) for metric in task.metrics)):
        assert len(set(words)) == len(words)
    scores, first = row.evidence.scores, task.metrics[0]
    for metric in {first, next((each for each in task.metrics if not each.higher_is_better), first)}:
        better = scores[metric.name] + (0.01 if metric.higher_is_better else -0.01)
        assert task.quality({**scores, metric.name: better}) > task.quality(scores)
        assert task.quality({**scores, metric.name: float("nan")}) < task.quality(scores)


@every
def test_predictions(name, row):
    """Those that are right are the share that a score says."""
    task, evidence = specs.build("task", row.spec), row.evidence
    found = task.predictions(first_member(evidence), evidence.encoded)
    assert all(len(array) == 3 for array in found.values())
    assert ("correct" in found) == (evidence.correct is not None)
    if evidence.correct is None:
        return
    assert found["correct"].dtype == bool
    assert found["correct"].tolist() == evidence.correct
    if task.metrics[0].share and not task.at_words:  # of whole examples
        assert np.mean(found["correct"]) == pytest.approx(evidence.scores[evidence.share or task.metrics[0].name])


# ---- in words


@every
def test_answers_in_words_are_those_of_the_examples(name, row):
    task, evidence = specs.build("task", row.spec), row.evidence
    assert flattened(task.adapt(evidence.encoded, CLASSES, facts())) == flattened(evidence.encoded)
    if not task.at_words:
        assert flattened(task.answer(UNLABELLED, evidence.answers, facts())) == flattened(evidence.encoded)


def flattened(encoded):
    """The fields of examples, as lists."""
    fields = {field.name: getattr(encoded, field.name) for field in dataclasses.fields(encoded)}
    targets = fields.pop("targets")
    listed = {name: array.tolist() if isinstance(array, np.ndarray) else array for name, array in fields.items()}
    return listed, None if targets is None else flattened(targets)


@every
def test_what_a_run_says_in_words(name, row):
    task, evidence = specs.build("task", row.spec), row.evidence
    found = task.read(evidence.outputs, evidence.encoded, facts())
    assert task.told(found, TEXTS) == evidence.told
    targets = evidence.answers if evidence.encoded.targets is not None else None
    tags = evidence.columns.get("tags")  # which are written as they were given
    examples = Examples(TEXTS, evidence.encoded, targets, wanted=tags)
    assert {head: list(column) for head, column in task.columns(found, examples, facts()).items()} == evidence.columns
    assert task.details(evidence.outputs, examples, facts()) == evidence.details
    without = task.columns(found, Examples(TEXTS, UNLABELLED), facts())
    assert set(evidence.columns) - set(without) == {task.answers} & set(evidence.columns)
