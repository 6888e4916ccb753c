"""What every source promises: splits of right texts, the same again everywhere, and of tasks by length what their draws are."""

from collections import Counter

import numpy as np
import pytest

from attention import specs
from attention.data.contracts import LENGTHS, NOTHING
from attention.data.sources import _lengths
from tests.support.rows import cases, over_cases, over_knobs, over_rows, rows
from tests.support.sources import baselines, digest

every = over_cases("source")
by_length = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=spec) for spec, (_, case) in cases("source").items() if case.lengths is not None],
    scope="module",
)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """(spec, seed) -> the corpus, kept; in a folder of its own with what the source's evidence prepares there."""
    folders, kept = {}, {}
    with pytest.MonkeyPatch.context() as patch:

        def of(spec, seed=0):
            name = specs.parse(spec).name
            evidence = rows("source")[name].evidence
            if evidence.needs:
                pytest.importorskip(evidence.needs)
            if name not in folders:
                folders[name] = tmp_path_factory.mktemp(name)
                if evidence.prepare is not None:
                    evidence.prepare(folders[name])
            patch.setenv("FOLDER", str(folders[name]))
            if (spec, seed) not in kept:
                kept[spec, seed] = specs.build("source", spec).load(seed)
            return kept[spec, seed]

        yield of


def _content(corpus):
    """All that is learned from: the splits with texts, labels, targets and what is wanted, and the classes."""
    listed = lambda found: None if found is None else list(found)
    right = lambda split: (listed(split.labels), listed(split.targets), listed(split.wanted))
    return corpus.classes, {name: (list(split.texts), *right(split)) for name, split in corpus.splits.items()}


@every
def test_splits_of_texts_with_labels_or_targets(case, load):
    corpus = load(case.spec)
    probes = set(rows("source")[specs.parse(case.spec).name].evidence.probes)
    assert {"train", "validation"} <= set(corpus.splits) - probes <= {"train", "validation", "test", LENGTHS}
    assert probes <= set(corpus.splits)
    assert (corpus.trained_length is not None) == (LENGTHS in corpus.splits)
    for name in corpus.splits:
        assert all(0 <= accuracy <= 1 for accuracy in baselines(corpus, name).values())
    assert bool(baselines(corpus, "train")) == bool(specs.build("source", case.spec).rules)
    for name, split in corpus.splits.items():
        assert len(split.texts) > 0
        assert all(isinstance(text, str) and text.strip() for text in split.texts)
        if split.wanted is not None:
            _check_wanted(split, corpus.classes)
        elif split.targets is not None:
            assert len(split.targets) == len(split.texts)
            assert (split.labels, corpus.classes) == (None, ())
        elif split.wanted is None and (corpus.classes or split.labels) and (name != "test" or split.labels is not None):
            assert split.labels.dtype == np.int32
            assert len(split.labels) == len(split.texts)
            assert set(split.labels.tolist()) <= set(range(len(corpus.classes)))
    if corpus.splits["train"].labels is not None:
        assert len(set(corpus.splits["train"].labels.tolist())) == len(corpus.classes) > 1


def _check_wanted(split, classes):
    """Places of every text are asked, for classes where there are any."""
    assert (split.labels, split.targets, len(split.wanted)) == (None, None, len(split.texts))
    for text, row in zip(split.texts, split.wanted):
        words = row.split(" ")
        assert len(words) == len(text.split(" "))
        assert set(words) > {NOTHING}
        assert not classes or set(words) <= {*classes, NOTHING}


@every
def test_labels_and_targets_are_right(case, load):
    corpus = load(case.spec)
    if case.right is None:
        assert rows("source")[specs.parse(case.spec).name].evidence.prepare is not None
        return
    for split in corpus.splits.values():
        wanted = split.targets or split.wanted or [corpus.classes[label] for label in split.labels]
        blanks = case.lengths is None  # the symbols of tasks by length are single characters with blanks between them
        assert [case.right(text if blanks else text.replace(" ", "")) for text in split.texts] == list(wanted)


@every
def test_the_same_again_and_by_its_resolved_spec(case, load, tmp_path, monkeypatch):
    """From another working folder too; another seed has other data, where a seed decides."""
    corpus = load(case.spec)
    assert specs.canonical("source", corpus.resolved) == corpus.resolved
    again = specs.build("source", case.spec).load(0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FOLDER")
    assert _content(specs.build("source", corpus.resolved).load(0)) == _content(again) == _content(corpus)
    seeded = rows("source")[specs.parse(case.spec).name].evidence.seeded
    monkeypatch.undo()
    assert (_content(load(case.spec, 1)) != _content(corpus)) == seeded
    if case.digest is not None:
        assert digest(corpus)[:16] == case.digest


@over_knobs("source")
def test_no_dead_options(knob, load):
    """Every option changes the data, or without it there are none; but those that say where they are."""
    if knob.option in rows("source")[knob.name].evidence.places:
        return
    assert _content_or_why_not(load, knob.without) != _content(load(knob.with_))


def _content_or_why_not(load, spec):
    try:
        return _content(load(spec))
    except ValueError as error:
        return str(error)


@over_rows("source")
def test_its_first_line_says_what_it_is(name, row):
    assert len(specs.describe("source", name).summary) > 20


# Tasks with texts beyond the lengths of training.


@by_length
def test_lengths_and_symbols(case, load):
    corpus, facts = load(case.spec), case.lengths
    assert {split: len(found.texts) for split, found in corpus.splits.items()} == {
        "train": 400, "validation": 50, "test": 200, LENGTHS: 120,
    }  # fmt: skip
    assert corpus.trained_length == 12
    for split, found in corpus.splits.items():
        plain = [text.replace(" ", "") for text in found.texts]
        assert [" ".join(text) for text in plain] == list(found.texts)
        assert set("".join(plain)) <= set(facts.symbols)
        lengths = {len(text) for text in plain}
        assert min(lengths) == facts.shortest
        assert max(lengths) in ((60, 59) if split == LENGTHS else (12, 11))
    assert set("".join(corpus.splits[LENGTHS].texts)) - {" "} == set(facts.symbols)


@by_length
def test_lengths_are_spread_evenly(case, load):
    corpus, facts = load(case.spec), case.lengths
    found = Counter(len(text.split()) for text in corpus.splits[LENGTHS].texts)
    assert set(found) == set(range(facts.shortest, 61, facts.step))
    assert max(found.values()) - min(found.values()) <= 1
    within = Counter(len(text.split()) for text in corpus.splits["train"].texts)
    expected = 400 / len(range(facts.shortest, 13, facts.step))
    assert all(abs(count - expected) < 5 * expected**0.5 for count in within.values())


@by_length
def test_classes_are_balanced_where_texts_are_long(case):
    """Each class of a hundred or more draws of one length, within five standard deviations."""
    _, labels = case.lengths.draw(_lengths.Draws(3, 1), np.full(2000, 41))
    counts = np.bincount(labels)
    mean = 2000 / len(counts)
    assert (np.abs(counts - mean) < 5 * mean**0.5).all(), counts


@by_length
def test_shortcuts_are_what_they_say(case, load):
    corpus, facts = load(case.spec), case.lengths
    train, test, found = corpus.splits["train"], corpus.splits["test"], baselines(corpus)
    for shortcut, place in (("first_symbol", 0), ("last_symbol", -1)):
        seen = {}
        for text, label in zip(train.texts, train.labels):
            seen.setdefault(text[place], []).append(int(label))
        best = {symbol: max(range(len(corpus.classes)), key=lambda c, v=values: v.count(c)) for symbol, values in seen.items()}
        guesses = [best.get(text[place], -1) for text in test.texts]
        assert found[shortcut] == pytest.approx(np.mean(guesses == test.labels))
    if facts.bag == "some":
        assert 0.1 < found["bag_of_symbols"] < 0.8
    else:
        assert found.get("bag_of_symbols") == facts.bag
    assert facts.first is None or found["first_symbol"] == facts.first


@by_length
def test_a_split_depends_on_its_own_size_alone(case, load):
    """And the others on the seed and the lengths."""
    corpus = load(case.spec)
    same = load(case.spec.replace("train=400", "train=401").replace("lengths=120", "lengths=0"))
    assert list(same.splits["test"].texts) == list(corpus.splits["test"].texts)
    assert (set(same.splits), same.trained_length) == ({"train", "validation", "test"}, None)
    far = load(case.spec.replace("max_length=12", "max_length=12, test_length=20"))
    assert max(len(text.split()) for text in far.splits[LENGTHS].texts) in (19, 20)
    assert list(far.splits["test"].texts) == list(corpus.splits["test"].texts)
    for other in (load(case.spec, 1), load(case.spec.replace("max_length=12", "max_length=13"))):
        assert list(other.splits["test"].texts) != list(corpus.splits["test"].texts)


# Tasks that ask at places of their texts.


@pytest.fixture(scope="module")
def asked(load):
    """Of each source that asks at places of texts of its own, by its spec."""
    specs_of = [row.spec for row in rows("source").values() if "lengths" in row.options and "data_dir" not in row.options]
    return {spec: load(spec) for spec in specs_of}


def test_sizes_and_lengths_of_what_is_asked(asked):
    assert len(asked) >= 15
    for spec, corpus in asked.items():
        sizes = {"train": 300, "validation": 40, "test": 50, LENGTHS: 60}
        assert {split: len(found.texts) for split, found in corpus.splits.items()} == sizes | dict.fromkeys(
            rows("source")[specs.parse(spec).name].evidence.probes, 50
        )
        longest = {split: max(len(text.split()) for text in found.texts) for split, found in corpus.splits.items()}
        beyond = longest.pop(LENGTHS)
        assert {corpus.trained_length} == {*longest.values()}
        assert beyond > 1.6 * corpus.trained_length


def test_a_split_that_is_asked_depends_on_its_own_size_alone(asked, load):
    """And the others on the seed and the lengths; texts of one stream are not those of another."""
    for spec, corpus in asked.items():
        same = load(spec.replace("train=300", "train=301").replace("lengths=60", "lengths=0"))
        assert same.trained_length is None
        assert _content(same)[1]["test"] == _content(corpus)[1]["test"]
        assert set(corpus.splits) - set(same.splits) == {LENGTHS}
        assert len({tuple(split.texts[:20]) for split in corpus.splits.values()}) == len(corpus.splits)
