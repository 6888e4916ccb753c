"""The tasks with lengths beyond training: every label against a plain loop, and what the draws promise."""

import hashlib
import re
from collections import Counter

import numpy as np
import pytest

from attention import specs
from attention.data.contracts import LENGTHS
from attention.data.sources import _conditioned, _lengths, listops

# ---------------------------------------------------------------------------------------------- checkers: text to class


def even_pairs(text):
    pairs = [text[i : i + 2] for i in range(len(text) - 1)]
    return "odd" if (pairs.count("01") + pairs.count("10")) % 2 else "even"


def parity(text):
    odd = False
    for bit in text:
        odd ^= bit == "1"
    return "odd" if odd else "even"


def cycle_navigation(text):
    place = 0
    for step in text:
        place = (place + {"-": -1, "0": 0, "+": 1}[step]) % 5
    return str(place)


def value(text):
    return str(eval(text, {"__builtins__": {}}) % 5)


def missing_duplicate(text):
    text = text.removesuffix("_")
    half = len(text) // 2
    [hidden] = [i for i, symbol in enumerate(text) if symbol == "?"]
    found = text[hidden - half if hidden >= half else hidden + half]
    whole = text.replace("?", found)
    assert whole[:half] == whole[half:]
    return found


def solve_equation(text):
    left, right = text.split("=")
    [answer] = [digit for digit in "01234" if value(left.replace("x", digit)) == right]
    return answer


def order(text):
    for symbol in text:
        if symbol in "ab":
            return "yes" if symbol == "a" else "no"
    raise AssertionError(text)


def distance(text):
    apart = abs(text.index("a") - text.index("b"))
    return {1: "1", 2: "2", 3: "3-4", 4: "3-4", **dict.fromkeys(range(5, 9), "5-8")}.get(apart, "9+")


# One row per task: source, checker, symbols, shortest text, and the sha256 of a small data set, which must never change.
ROWS = {
    "even_pairs": (even_pairs, "01", 2, "de41839ca4bed486"),
    "parity": (parity, "01", 1, "6fbb8e064f224c3c"),
    "cycle_navigation": (cycle_navigation, "-0+", 1, "2d9751e6dba70022"),
    "modular_arithmetic": (value, "01234+-*", 1, "4f762ddd4430d2b2"),
    "modular_arithmetic(brackets=True)": (value, "01234+-()", 1, "22e1c45a51371ca4"),
    "missing_duplicate": (missing_duplicate, "01?_", 2, "ec3b727d3713bc85"),
    "solve_equation": (solve_equation, "01234+-()x=", 3, "e787427364f77c2a"),
    "first_token": (lambda text: text[0], "abcdefgh", 1, "cc552f9e1c38857f"),
    "order": (order, "abcdef", 2, "1b8891d34f21bb42"),
    "distance": (distance, "abcdef", 2, "56f7e25db12a2269"),
}
SMALL = dict(train=400, validation=50, test=200, lengths=120, max_length=12)


def build(spec, /, **options):
    parsed = specs.parse(spec)
    return specs.build("source", specs.Spec(parsed.name, (*parsed.options, *options.items())))


@pytest.fixture(scope="module", params=ROWS)
def task(request, tmp_path_factory):
    """The row's name and its small corpus, as loaded."""
    folder = tmp_path_factory.mktemp("tasks")
    return request.param, build(request.param, **SMALL, data_dir=str(folder)).load(0), folder


def test_every_task_has_a_row():
    options_of = {name: [option.name for option in specs.options("source", name)] for name in specs.names("source")}
    declared = {name for name, known in options_of.items() if "test_length" in known}
    assert declared - {"listops"} == {specs.parse(spec).name for spec in ROWS}


def test_labels_lengths_and_symbols(task):
    name, corpus, _ = task
    checker, symbols, shortest, _ = ROWS[name]
    assert {split: len(found.texts) for split, found in corpus.splits.items()} == {
        "train": 400, "validation": 50, "test": 200, LENGTHS: 120,
    }  # fmt: skip
    assert corpus.trained_length == 12
    for split, found in corpus.splits.items():
        plain = [text.replace(" ", "") for text in found.texts]
        assert [" ".join(text) for text in plain] == list(found.texts)
        assert [checker(text) for text in plain] == [corpus.classes[label] for label in found.labels]
        assert set("".join(plain)) <= set(symbols)
        lengths = {len(text) for text in plain}
        assert min(lengths) == shortest
        assert max(lengths) in ((60, 59) if split == LENGTHS else (12, 11))
    assert set("".join(corpus.splits[LENGTHS].texts)) - {" "} == set(symbols)


def test_lengths_are_spread_evenly(task):
    name, corpus, _ = task
    found = Counter(len(text.split()) for text in corpus.splits[LENGTHS].texts)
    step = 2 if name == "modular_arithmetic" else 1
    wanted = set(range(ROWS[name][2], 61, step))
    assert set(found) == wanted
    assert max(found.values()) - min(found.values()) <= 1
    within = Counter(len(text.split()) for text in corpus.splits["train"].texts)
    expected = 400 / len(range(ROWS[name][2], 13, step))
    assert all(abs(count - expected) < 5 * expected**0.5 for count in within.values())


def test_classes_are_balanced_where_texts_are_long(task):
    """Each class of a hundred or more draws of one length, within five standard deviations."""
    name, _, _ = task
    source = specs.module("source", specs.parse(name).name)
    draw = source.draw if hasattr(source, "draw") else (source.NESTED if "True" in name else source.FLAT).draw
    _, labels = draw(_lengths.Draws(3, 1), np.full(2000, 41))
    counts = np.bincount(labels)
    mean = 2000 / len(counts)
    assert (np.abs(counts - mean) < 5 * mean**0.5).all(), counts


def test_shortcuts_are_what_they_say(task):
    name, corpus, _ = task
    train, test = corpus.splits["train"], corpus.splits["test"]
    for shortcut, place in (("first_symbol", 0), ("last_symbol", -1)):
        seen = {}
        for text, label in zip(train.texts, train.labels):
            seen.setdefault(text[place], []).append(int(label))
        best = {symbol: max(range(len(corpus.classes)), key=lambda c, v=values: v.count(c)) for symbol, values in seen.items()}
        guesses = [best.get(text[place], 0) for text in test.texts]
        assert corpus.baselines[shortcut] == pytest.approx(np.mean(guesses == test.labels))
    known = {"parity": 1.0, "cycle_navigation": 1.0, "missing_duplicate": 1.0}
    if name in known:
        assert corpus.baselines["bag_of_symbols"] == known[name]
    elif name in ("modular_arithmetic", "modular_arithmetic(brackets=True)", "solve_equation"):
        assert "bag_of_symbols" not in corpus.baselines
    else:
        assert 0.1 < corpus.baselines["bag_of_symbols"] < 0.8
    if name == "first_token":
        assert corpus.baselines["first_symbol"] == 1.0


def test_the_bag_of_symbols_is_the_best_guess_by_counting():
    """Of all strings of six bits: no guess from the counts is right more often for even_pairs."""
    strings = [f"{number:06b}" for number in range(64)]
    labels = np.array([even_pairs(text) == "odd" for text in strings], int)
    counts = np.array([[text.count("0"), text.count("1")] for text in strings])
    right = (specs.module("source", "even_pairs").bag(counts) == labels).sum()
    groups = {ones: labels[counts[:, 1] == ones] for ones in range(7)}
    assert right == sum(max(group.sum(), len(group) - group.sum()) for group in groups.values())


def digest(corpus):
    return hashlib.sha256(repr([(n, list(s.texts), s.labels.tolist()) for n, s in corpus.splits.items()]).encode()).hexdigest()


def test_the_stream_is_the_same_everywhere(task):
    name, corpus, folder = task
    assert digest(corpus)[:16] == ROWS[name][3]
    assert digest(build(name, **SMALL, data_dir=str(folder)).load(0)) == digest(corpus)  # read from disk


@pytest.mark.parametrize("name", ["order", "modular_arithmetic(brackets=True)"])
def test_seed_sizes_and_options(name, tmp_path):
    corpus = build(name, **SMALL, data_dir=str(tmp_path)).load(0)
    same = build(name, **{**SMALL, "train": 401, "lengths": 0}, data_dir=str(tmp_path)).load(0)
    assert list(same.splits["test"].texts) == list(corpus.splits["test"].texts)
    assert (set(same.splits), same.trained_length) == ({"train", "validation", "test"}, None)
    for other in ({"min_length": 5}, {"max_length": 13}, {}):
        found = build(name, **{**SMALL, **other}, data_dir=str(tmp_path)).load(0 if other else 1)
        assert list(found.splits["test"].texts) != list(corpus.splits["test"].texts)
    far = build(name, **SMALL, test_length=20, data_dir=str(tmp_path)).load(0)
    assert max(len(text.split()) for text in far.splits[LENGTHS].texts) == 20
    assert list(far.splits["test"].texts) == list(corpus.splits["test"].texts)
    assert far.resolved.endswith(f"lengths=120, max_length=12, test_length=20, data_dir='{tmp_path}')")
    assert specs.canonical("source", far.resolved) == far.resolved


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("parity(train=0)", "train must be at least 1, got 0"),
        ("parity(lengths=-1)", "lengths must be at least 0, got -1"),
        ("order(min_length=1)", "min_length must be at least 2, got 1"),
        ("solve_equation(min_length=2)", "min_length must be at least 3, got 2"),
        ("parity(min_length=9, max_length=8)", "max_length must be at least 9, got 8"),
        ("parity(test_length=39)", "test_length must be at least max_length, 40, got 39"),
        ("listops(test_length=49)", "test_length must be at least max_length, 50, got 49"),
        (
            "modular_arithmetic(min_length=4, max_length=4)",
            "modular_arithmetic has no text of 4 to 4 symbols: its lengths are 1, 3, 5, ...",
        ),
    ],
)
def test_options_out_of_range_are_refused(spec, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        specs.build("source", spec)


# ---------------------------------------------------------------------------------------------- how texts are drawn


def test_draws_are_uniform_below_each_bound():
    rng = _lengths.Draws(0, 9)
    found = rng.below(np.array([1, 2, 7]), 7000, 3)
    assert found.max(axis=0).tolist() == [0, 1, 6]
    counts = np.bincount(found[:, 2])
    assert (np.abs(counts - 1000) < 5 * 1000**0.5).all()
    assert rng.below(5, 0).shape == (0,)


def test_places_are_uniform_over_pairs():
    a, b = _lengths.two_places(_lengths.Draws(0, 8), np.full(6000, 4))
    counts = Counter(zip(a.tolist(), b.tolist()))
    assert set(counts) == {(i, j) for i in range(4) for j in range(4) if i != j}
    assert all(abs(count - 500) < 5 * 500**0.5 for count in counts.values())


def test_brackets_follow_the_published_grammar():
    """Every way to split a text of seven symbols as often, and each of the short forms."""
    draw = specs.module("source", "modular_arithmetic").draw_nested
    tokens, _ = draw(_lengths.Draws(0, 7), np.full(3000, 7))
    shapes = Counter(re.sub(r"[0-4]", "d", re.sub(r"(?<=[d0-4)])[+-]", "o", row.replace(" ", ""))) for row in texts_of(tokens))
    assert set(shapes) == {"(do(d))", "(-do-d)", "((d)od)"}
    assert all(abs(count - 1000) < 5 * 1000**0.5 for count in shapes.values())
    for length, form in ((1, "d"), (2, "-d"), (3, "(d)"), (4, "(-d)")):
        [row] = texts_of(draw(_lengths.Draws(0, length), np.array([length]))[0])
        assert re.sub(r"[0-4]", "d", row.replace(" ", "")) == form


def texts_of(tokens):
    return _lengths.texts(tokens, specs.module("source", "modular_arithmetic").FLAT.alphabet)


# ---------------------------------------------------------------------------------------------- ListOps by length


def options(**changes):
    values = dict(min_length=4, max_length=20, max_depth=6, max_args=4, operator_share=0.3)
    return listops.Options(**{**values, "operators": tuple(listops.OPERATORS), **changes})


def test_likelihood_of_a_size_by_hand():
    """Two arguments or three, share 0.3: [o d d ] and [o d d d ]; with one operator inside there are 7 tokens or more."""
    likelihood = _conditioned.Conditioned(options(max_args=3), 8).likelihood
    assert likelihood[:5] == pytest.approx([0, 0, 0, 0, 0.5 * 0.7**2])
    assert likelihood[5:7] == pytest.approx([0.5 * 0.7**3, 0])
    # [o d [o d d ] ] in two orders, each operator with two arguments
    assert likelihood[7] == pytest.approx(2 * 0.5 * 0.5 * 0.3 * 0.7**3)
    assert _conditioned.Conditioned(options(max_args=3, max_depth=1), 8).likelihood[6:].tolist() == [0, 0, 0]
    assert _conditioned.Conditioned(options(), 400).likelihood.sum() == pytest.approx(1, abs=0.01)


def test_sizes_are_as_likely_as_in_the_plain_process():
    """Against the process itself, which throws away what is too long: sizes, and the shapes of one size."""
    drawn = listops.expressions(1500, options(operators=("MIN", "MAX")), seed=0, stream=0, seen=set())
    shape = lambda text: re.sub(r"\d", "d", re.sub(r"\[\w+", "[", text))
    process = _conditioned.Conditioned(options(operators=("MIN", "MAX")), 20)
    long = [text for text in drawn if len(text.split()) == 10]  # short ones are distinct, and so less often drawn
    rng = _lengths.Draws(0, 5)
    again = [" ".join(process.draw(10, rng)) for _ in range(1500)]
    assert {len(text.split()) for text in again} == {10}
    assert len({text.split()[0] for text in again}) == 2
    shapes, wanted = Counter(map(shape, again)), Counter(map(shape, long))
    for name, count in wanted.items():
        share = shapes[name] / 1500
        assert abs(count - share * len(long)) < 5 * max(share * len(long), 1) ** 0.5, name


def test_listops_goes_on_to_five_times_its_length(tmp_path):
    sizes = dict(train=200, validation=20, test=20, lengths=60, min_length=6, max_length=16, max_args=3, max_depth=5)
    corpus = build("listops", **sizes, data_dir=str(tmp_path)).load(0)
    found = corpus.splits[LENGTHS]
    lengths = [len(text.split()) for text in found.texts]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1], corpus.trained_length) == (7, 79, 16)  # nothing has 6, and 60 of 71 are taken
    assert max(Counter(lengths).values()) - min(Counter(lengths).values()) <= 1
    assert [listops.evaluate(text) for text in found.texts] == found.labels.tolist()
    for text in found.texts:
        depth = np.cumsum([token.startswith("[") - (token == "]") for token in text.split()]).max()
        assert depth <= 5
    assert build("listops", **sizes, data_dir=str(tmp_path)).load(1).splits[LENGTHS].texts != found.texts
    flat = build("listops", **{**sizes, "max_depth": 1, "min_length": 4, "train": 50}, data_dir=str(tmp_path)).load(0)
    assert {len(text.split()) for text in flat.splits[LENGTHS].texts} == {4, 5}  # the longest there are
