"""Evidence of ListOps: evaluation, drawing, lengths, and the data set on disk."""

import hashlib
import re
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention.data.sources import _lengths, listops
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import baselines
from tests.support.sources import build as build_source

SMALL = dict(train=300, validation=60, test=60, lengths=20)


def options(**changes):
    values = dict(min_length=8, max_length=40, max_depth=6, max_args=4, operator_share=0.3)
    return listops.Options(**{**values, "operators": tuple(listops.OPERATORS), **changes})


def draw(count, seed=0, stream=0, **changes):
    return listops.expressions(count, options(**changes), seed=seed, stream=stream, seen=set())


def build(data_dir, **changes):
    return build_source("listops", **{**SMALL, "data_dir": data_dir, **changes})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("listops")
    return folder, build(folder).load(0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
        ("[MIN 5 3 8 ]", 3),
        ("[SM 9 8 7 ]", 4),
        ("[SM 5 5 ]", 0),
        ("[MED 1 9 4 ]", 4),
        ("[MED 1 2 ]", 1),  # mean 1.5, rounded down
        ("[MED 9 0 3 6 ]", 4),  # mean of 3 and 6 is 4.5
        ("[MED 2 2 9 9 1 ]", 2),
        ("[MAX [SM [MED 3 4 ] [MIN 9 8 ] 1 ] [MED 1 1 0 ] ]", 2),
        ("[SM [SM [SM 1 2 ] 3 ] [MAX 4 [MIN 5 6 ] ] 9 ]", 0),
        ("[MIN [MAX 1 [MAX 2 [MAX 3 4 ] ] ] 5 ]", 4),
    ],
)
def test_golden_evaluations(text, value):
    assert listops.evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[MAX 1 2", "no end"),
        ("[MAX 1 2 ] 3", "token 5, '3', comes after the end"),
        ("[MAX ]", "token 2, ']', closes an empty operator"),
        ("]", "token 1, ']', closes nothing"),
        ("[AVG 1 2 ]", "token 1, '[AVG', is none of"),
        ("[MAX 10 2 ]", "token 2, '10', is none of"),
        ("[MAX  2 ]", "token 2, '', is none of"),
        ("", "token 1, '', is none of"),
    ],
)
def test_malformed_expressions_are_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        listops.evaluate(text)


trees = st.recursive(
    st.integers(0, 9),
    lambda inner: st.tuples(st.sampled_from(["MIN", "MAX", "MED", "SM"]), st.lists(inner, min_size=1, max_size=5)),
    max_leaves=30,
)


def render(tree):
    return str(tree) if isinstance(tree, int) else f"[{tree[0]} {' '.join(map(render, tree[1]))} ]"


def recurse(tree):
    if isinstance(tree, int):
        return tree
    values = [recurse(part) for part in tree[1]]
    return {
        "MIN": lambda: sorted(values)[0],
        "MAX": lambda: sorted(values)[-1],
        "MED": lambda: int(np.median(values)),
        "SM": lambda: int(str(sum(values))[-1]),
    }[tree[0]]()


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(trees)
def test_evaluation_equals_recursion_over_the_tree(tree):
    assert listops.evaluate(render(tree)) == recurse(tree)


def parse(text):
    """A tree of a text, by rewriting it as a Python literal: shares nothing with the code under test."""
    literal = re.sub(r"\[(\w+)", r'("\1", [', text).replace("]", "]),").replace(" ", ",").replace(",,", ",")
    literal = re.sub(r"\[,", "[", literal).replace("[]),", "])")
    return eval(re.sub(r",+", ",", literal).rstrip(","), {"__builtins__": {}})


def right(text):
    """By recursion over the tree of the text as a Python literal."""
    return str(recurse(parse(text)))


SPEC = "listops(train=200, validation=40, test=40, lengths=20, max_length=30, data_dir='$FOLDER')"
OPTIONS = {
    "train": "201",
    "validation": "41",
    "test": "41",
    "min_length": "12",
    "max_length": "31",
    "max_depth": "2",
    "max_args": "3",
    "operator_share": "0.5",
    "operators": "('MIN', 'MAX')",
    "lengths": "0",
    "test_length": "60",
    "data_dir": "'$FOLDER/other'",
}
ERRORS = {
    "listops(train=0)": "train must be at least 1, got 0",
    "listops(test=-1)": "test must be at least 1",
    "listops(min_length=3)": "min_length must be at least 4",
    "listops(min_length=30, max_length=20)": "max_length must be at least 30, got 20",
    "listops(max_depth=0)": "max_depth must be at least 1",
    "listops(max_args=1)": "max_args must be at least 2",
    "listops(operator_share=1.5)": "operator_share must be 0 to 1, got 1.5",
    "listops(operators=('MAXX',))": r"unknown operator 'MAXX' \(nearest: 'MAX'\); known: MIN, MAX, MED, SM",
    "listops(operators=())": "operators must be one or more",
    "listops(operators=('SM', 'SM'))": "none twice",
    "listops(test_length=49)": "test_length must be at least the length of train, 50, got 49",
}
ROW = Row(SPEC, OPTIONS, SourceEvidence((SourceCase(SPEC, right),), errors=ERRORS))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[MAX 2 3 [MIN 9 8 ] 0 ]", 3),
        ("[SM [SM 1 2 ] 7 [MAX [MIN 1 1 ] 9 ] 8 ]", 5),
        ("[MED 1 [SM 9 9 ] 6 ]", 3),
        ("[MIN [MAX 1 2 ] [SM 1 2 ] ]", None),
    ],
)
def test_root_operator_sees_only_direct_digits(text, value):
    assert listops.root_operator(text) == value


# ---------------------------------------------------------------------------------------------- drawing


def depth(text):
    levels = np.cumsum([token.startswith("[") - (token == "]") for token in text.split()])
    return int(levels.max())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict(min_length=20, max_length=25),
        dict(max_depth=2, max_length=20),
        dict(max_depth=1, min_length=4, max_length=6),
        dict(max_args=2, min_length=4),
        dict(operator_share=0.6),
        dict(operators=("SM",)),
        dict(operators=("MED", "MIN")),
    ],
)
def test_expressions_keep_to_the_options(changes):
    drawn, wanted = draw(300, **changes), options(**changes)
    assert len(set(drawn)) == 300
    for text in drawn:
        assert wanted.min_length <= len(text.split(" ")) <= wanted.max_length
        assert depth(text) <= wanted.max_depth
        assert {token[1:] for token in text.split() if token[0] == "["} <= set(wanted.operators)
        tree = parse(text)
        assert recurse(tree) == listops.evaluate(text)
        stack = [tree]
        while stack:
            node = stack.pop()
            if not isinstance(node, int):
                assert 2 <= len(node[1]) <= wanted.max_args
                stack.extend(node[1])


def test_digits_operators_and_counts_are_uniform():
    tokens = " ".join(draw(3000, operator_share=0.0, min_length=4, max_depth=1, max_args=5)).split(" ")
    operators = [tokens.count(f"[{name}") for name in listops.OPERATORS]
    digits = [tokens.count(str(digit)) for digit in range(10)]
    for counts in (operators, digits):
        mean = sum(counts) / len(counts)
        assert sum((count - mean) ** 2 / mean for count in counts) < 30  # chi-square, 9 degrees of freedom


def test_the_stream_is_the_same_everywhere():
    drawn = draw(200)
    assert drawn[:3] == GOLDEN
    assert hashlib.sha256("\n".join(drawn).encode()).hexdigest() == GOLDEN_SHA256


def test_blocks_do_not_change_what_a_longer_draw_begins_with():
    assert draw(6000)[:100] == draw(100)  # 6000 need more than one block of numbers


GOLDEN = [
    "[MIN 1 [SM 4 5 [MAX 5 [SM 5 2 1 ] 0 ] 9 ] 6 ]",
    "[MAX 7 [MIN 9 4 ] 3 ]",
    "[MIN 9 [SM 4 [MIN 4 1 ] 6 [SM 7 3 2 ] ] ]",
]
GOLDEN_SHA256 = "90c606770ce74ce38fb6b0d339c969525a03ea918d79f8f899038e1cd19c658b"


def test_too_few_expressions_end_with_an_error():
    with pytest.raises(ValueError, match=r"found only \d+ of 10000 distinct expressions of 4 to 4 tokens"):
        draw(10_000, min_length=4, max_length=4)


# ---------------------------------------------------------------------------------------------- the data set


def test_splits_have_their_sizes_no_duplicates_and_right_labels(prepared):
    _, corpus = prepared
    assert {name: len(split.texts) for name, split in corpus.splits.items()} == SMALL
    everything = [text for name in ("train", "validation", "test") for text in corpus.splits[name].texts]
    assert len(set(everything)) == len(everything)
    assert corpus.classes == tuple("0123456789")
    for split in corpus.splits.values():
        assert split.labels is not None
        assert split.labels.dtype == np.int32
        assert [recurse(parse(text)) for text in split.texts] == split.labels.tolist()
    assert corpus.notes == ()


def test_the_shortcuts_are_what_they_say(prepared):
    _, corpus = prepared
    train, test = corpus.splits["train"], corpus.splits["test"]
    counts = [list(train.labels).count(digit) for digit in range(10)]
    majority = counts.index(max(counts))
    right = 0
    for text, label in zip(test.texts, test.labels):
        name, arguments = parse(text)
        digits = [argument for argument in arguments if isinstance(argument, int)]
        right += (recurse((name, digits)) if digits else majority) == label
    found = baselines(corpus)
    assert found == {
        "majority": pytest.approx(list(test.labels).count(majority) / 60),
        "root_operator": pytest.approx(right / 60),
    }
    assert found["root_operator"] > found["majority"]
    assert baselines(corpus, "train") != found
    answers = build("unused").rules[1].answer({"": 7}, ["[MAX 2 3 [MIN 9 8 ] 0 ]", "no expression", "[MAX"])
    assert answers == [3, 7, 7]


def test_prepared_and_fresh_data_are_the_same(prepared, tmp_path):
    folder, corpus = prepared
    for other in (build(folder).load(0), build(tmp_path).load(0)):
        for name, split in corpus.splits.items():
            assert list(other.splits[name].texts) == list(split.texts)
            np.testing.assert_array_equal(other.splits[name].labels, split.labels)
    assert (
        build(folder).load(0).resolved
        == corpus.resolved
        == f"listops(train=300, validation=60, test=60, lengths=20, data_dir='{folder}')"
    )


def test_another_seed_or_option_has_data_of_its_own(prepared):
    folder, corpus = prepared
    for other in (build(folder).load(1), build(folder, max_length=49).load(0)):
        assert set(other.splits["test"].texts) != set(corpus.splits["test"].texts)
    again = build(folder).load(0)
    assert list(again.splits["test"].texts) == list(corpus.splits["test"].texts)
    larger = build(folder, train=320).load(0)
    assert list(larger.splits["test"].texts) == list(corpus.splits["test"].texts)
    assert list(larger.splits["train"].texts)[:300] == list(corpus.splits["train"].texts)


def test_no_two_sets_share_a_folder():
    sizes = _lengths.Sizes(train=3, validation=2, test=1, lengths=5, min_length=8, max_length=40, test_length=None)
    base = listops._config(sizes, options(), 0)
    others = [
        *(listops._config(sizes._replace(**{name: 46}), options(), 0) for name in sizes._fields),
        listops._config(sizes, options(), 1),
        *(
            listops._config(sizes, options(**change), 0)
            for change in (
                dict(max_depth=7),
                dict(max_args=5),
                dict(operator_share=0.3000001),
                dict(operators=("MIN", "MAX", "MED")),
                dict(operators=("MAX", "MIN", "MED", "SM")),
            )
        ),
    ]
    assert len({base, *others}) == 1 + len(others)


def test_it_is_a_tfds_data_set(prepared):
    import tensorflow_datasets as tfds

    folder, corpus = prepared
    [directory] = (folder / "listops").glob("seed0-n300x60x60x20-length10to50to250-*/1.0.0")
    builder = tfds.builder_from_directory(str(directory))
    source = builder.as_data_source("test")
    assert [example["text"].decode() for example in source] == list(corpus.splits["test"].texts)
    assert [int(example["label"]) for example in source] == corpus.splits["test"].labels.tolist()
    assert "tensorflow" not in sys.modules


def test_nothing_is_printed(tmp_path, capfd):
    build(tmp_path).load(0)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("listops-train.array_record-00000-of-00001", lambda data: data[: len(data) // 2]),
        ("listops-test.array_record-00000-of-00001", lambda data: data[:65600] + bytes([data[65600] ^ 4]) + data[65601:]),
        ("dataset_info.json", lambda data: data[:50]),
        ("metadata.json", lambda data: data.replace(b"a", b"b")),
    ],
)
def test_damaged_files_are_named(prepared, tmp_path, name, content):
    shutil.copytree(prepared[0] / "listops", tmp_path / "listops")
    [path] = tmp_path.glob(f"listops/seed0-n300x60x60x20-length10to50to250-*/1.0.0/{name}")
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ValueError, match=r"is damaged .*delete the folder") as caught:
        build(tmp_path).load(0)
    assert str(path.parent.parent) in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write listops into"):
        build(tmp_path / "file").load(0)
