import ast
import dataclasses
import re
from pathlib import Path

import pytest

from attention.training import config, config_files

ROOT = Path(__file__).parent.parent.parent
LM = {"mask": "causal"}
SECTIONS = {
    "data": config.DataConfig,
    "model": config.ModelConfig,
    "training": config.TrainingConfig,
    "cohort": config.CohortConfig,
}


def test_base_config_is_every_field_with_its_default():
    given = config_files.base_config(ROOT / "configs/base.py").to_dict()
    assert given == config.to_dict(config.Config())


def test_base_config_comments_every_field():
    text = (ROOT / "configs/base.py").read_text()
    for name, section in SECTIONS.items():
        for field in dataclasses.fields(section):
            assert re.search(rf"^    {name}\.{field.name} = .+  # \w", text, re.M), f"{name}.{field.name}"


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "configs").glob("*.py")))
def test_shipped_configs_cross_and_carry_their_header(name):
    config.from_dict(config_files.base_config(ROOT / "configs" / name).to_dict())
    header = ast.get_docstring(ast.parse((ROOT / "configs" / name).read_text())) or ""
    assert "python train.py" in header


def test_defaults_obey_their_own_rules():
    assert config.from_dict({}) == config.Config()


@pytest.mark.parametrize("section", SECTIONS.values())
def test_every_field_has_a_meaning_and_numbers_have_a_range(section):
    for field in dataclasses.fields(section):
        assert field.metadata["meaning"], field.name
        assert bool(field.metadata["within"]) == (type(field.default) in (int, float)), field.name


def test_round_trip_through_json_types():
    made = config.from_dict({"seeds": [3, 1], "training": {"learning_rate": 1, "steps": 0, "epochs": 2}})
    assert made.training.learning_rate == 1.0
    assert isinstance(made.training.epochs, float)
    assert made.seeds == (3, 1)
    assert config.from_dict(config.to_dict(made)) == made


def test_one_seed_alone():
    assert config.from_dict({"seeds": 3}).seeds == (3,)


def test_specs_are_stored_canonically():
    one = config.from_dict({"model": {"encoding": "rope( base = 1e4 )"}, "data": {"source": "listops( )"}})
    assert (one.model.encoding, one.data.source) == ("rope", "listops")


def test_per_member_values_are_arrays_of_members():
    made = config.from_dict({"seeds": (5, 2**32 - 1), "training": {"dropout": 0.25}})
    values = config.member_values(made)
    assert values["seed"].tolist() == [5, 2**32 - 1]
    assert values["dropout"].tolist() == [0.25, 0.25]
    assert set(values) == {"seed", *config.PER_MEMBER}
    floats = {f.name for f in dataclasses.fields(config.TrainingConfig) if f.metadata["per_member"]}
    assert floats >= {"learning_rate", "weight_decay", "dropout", "word_dropout", "label_smoothing"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sead": (0,)}, "unknown field config.sead (nearest: 'seeds')"),
        ({"training": {"stepz": 1}}, "unknown field config.training.stepz (nearest: 'steps')"),
        ({"training": 3}, "config.training holds fields"),
        ({"training": {"steps": 1.5}}, "config.training.steps wants a whole number, got 1.5"),
        ({"training": {"steps": True}}, "config.training.steps wants a whole number, got True"),
        ({"training": {"learning_rate": "fast"}}, "config.training.learning_rate wants a number, got 'fast'"),
        ({"training": {"learning_rate": 0.0}}, "config.training.learning_rate wants a number in (0, inf), got 0.0"),
        ({"training": {"learning_rate": float("nan")}}, "config.training.learning_rate wants a number in (0, inf)"),
        ({"training": {"dropout": 1.0}}, "config.training.dropout wants a number in [0, 1), got 1.0"),
        ({"training": {"schedule": "cosin"}}, "wants one of constant, cosine, linear, got 'cosin' (nearest: 'cosine')"),
        ({"training": {"steps": 10, "warmup": 0, "epochs": 1.0}}, "wants one of steps, epochs and tokens, the others 0"),
        ({"training": {"steps": 0}}, "wants one of steps, epochs and tokens, the others 0"),
        ({"training": {"schedule": "constant", "schedule_end": 0.1}}, "schedule_end=0.1 wants schedule=cosine or linear"),
        ({"training": {"accumulation": 3}}, "config.training.accumulation wants a divisor of batch_size"),
        ({"training": {"optimizer": "adam"}}, "config.training.optimizer: unknown optimizer 'adam' (nearest: 'adamw')"),
        ({"training": {"optimizer": "adamw(b1=2)"}}, "b1 must be in [0, 1), got 2"),
        ({"model": {"encoding": "ropes"}}, "config.model.encoding: unknown encoding 'ropes' (nearest: 'rope')"),
        ({"model": {"encoding": "rope(bass=1)"}}, "unknown option 'bass' (nearest: 'base')"),
        ({"model": {"frozen_embeddings": 1}}, "config.model.frozen_embeddings wants True or False, got 1"),
        (
            {"task": "lm", "model": LM, "data": {"segments": "lines", "positions": "segment"}},
            "config.data.segments is for config.task=classification or",
        ),
        (
            {"task": "lm", "model": LM, "data": {"tokenizer": "words(ngrams=2)"}},
            "config.data.tokenizer=words(ngrams=2): its tokens are not in the order of the text, and config.task=lm tells",
        ),
        ({"task": "seq2seq", "data": {"tokenizer": "words(ngrams=2)"}}, "order of the text, and config.task=seq2seq tells one"),
        ({"task": "tagging", "data": {"segments": "lines"}}, "got 'lines' with config.task=tagging; leave it at 'none'"),
        ({"model": {"vectors": "a"}, "training": {"init_from": "b"}}, "both give the embedding"),
        ({"data": {"seed": -1}}, "config.data.seed wants a number in [0, 2**32), got -1"),
        ({"cohort": {"axis": "pmap"}}, "config.cohort.axis wants one of auto, map, vmap, got 'pmap'"),
        ({"seeds": ()}, "config.seeds wants whole numbers"),
        ({"seeds": (0, 0)}, "config.seeds wants each seed once"),
        ({"seeds": (1.5,)}, "config.seeds wants whole numbers"),
        ({"seeds": (-1,)}, "config.seeds wants numbers in [0, 2**32), got -1"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        config.from_dict(values)
    assert "\n" not in str(caught.value)
