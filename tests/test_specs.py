import functools
import inspect
import pickle
import re
import sys
import textwrap

import hypothesis.strategies as st
import jax
import pytest
from hypothesis import given

import attention
from attention import messages, specs
from attention.records import Encoding, merged
from attention.specs import Spec, canonical, check, parse
from tests.support.helpers import unchecked

# A kind of this test alone: options of every type, specs inside specs, and an operator.
TOY = {
    "__init__": """
        from typing import NamedTuple

        class Toy(NamedTuple):
            made: tuple
            kind = "toy"

        def combine(*toys):
            return Toy(("sum", toys))
        """,
    "leaf": '''
        """A leaf."""
        from typing import Literal
        from toys import Toy

        def build(
            number: float = 1.0, count: int = 2, word: str = "a", flag: bool = False, sizes: tuple[int, ...] = (1, 2),
            choice: Literal["left", "right"] = "left", maybe: int | None = None, either: float | Literal["auto"] = "auto",
        ) -> Toy:
            if number < -1e6:
                raise ValueError(f"number must be >= -1e6, got {number}")
            return Toy((number, count, word, flag, sizes, choice, maybe, either))
        ''',
    "wrap": '''
        """A leaf or more, wrapped."""
        from toys import Toy

        def build(inner: Toy, times: int = 1, other: Toy | None = None) -> Toy:
            return Toy((inner, times, other))
        ''',
}


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    (folder / "toys").mkdir()
    for name, text in TOY.items():
        (folder / "toys" / f"{name}.py").write_text(textwrap.dedent(text).lstrip())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(specs.KINDS, "toy", "toys")
        patch.setitem(specs.OPERATORS, "toy", "+")
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "toys"]:
        del sys.modules[name]


NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "number": st.floats(-1e6, allow_nan=False, allow_infinity=False) | st.integers(-100, 100),
        "count": st.integers(-(10**20), 10**20),
        "word": st.text(),
        "flag": st.booleans(),
        "sizes": st.lists(st.integers(-9, 9), max_size=4).map(tuple),
        "choice": st.sampled_from(["left", "right"]),
        "maybe": st.none() | st.integers(),
        "either": st.just("auto") | st.floats(-1e9, 1e9),
    },
).map(lambda options: Spec("leaf", tuple(options.items())))
TERMS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda given, times, other: Spec("wrap", (("inner", given), *times, *other)),
        inner | st.lists(inner, min_size=2, max_size=3).map(lambda terms: Spec("+", terms=tuple(terms))),
        st.integers().map(lambda n: (("times", n),)) | st.just(()),
        (inner | st.none()).map(lambda spec: (("other", spec),)) | st.just(()),
    ),
    max_leaves=5,
)
SPECS = TERMS | st.lists(TERMS, min_size=2, max_size=3).map(lambda terms: Spec("+", terms=tuple(terms)))


@given(SPECS)
def test_roundtrip(spec):
    """What is written reads back as the same, and the canonical form is one: it stays, and builds the same."""
    assert parse(str(spec)) == spec
    short = canonical("toy", spec)
    assert canonical("toy", short) == short
    assert attention.build("toy", short) == attention.build("toy", spec)
    assert attention.build("toy", str(spec)) == attention.build("toy", spec)


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("(),=+&'\"[]{}*:.-\n\\ "), max_size=30))
def test_any_text_is_read_or_refused(text):
    """Never another error, whatever is typed."""
    try:
        spec = parse(text)
    except ValueError:
        return
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("encoding", " rope( base = 1e4 ) ", "rope"),
        ("encoding", "rope()", "rope"),
        ("encoding", "rope(base=500000)", "rope(base=500000.0)"),
        ("encoding", "rope(layout=half, base=5e5)", "rope(base=500000.0, layout='half')"),
        ("encoding", "rope(layout='interleaved',fraction=1)", "rope"),
        ("encoding", "sinusoidal+(t5 + alibi)", "sinusoidal + t5 + alibi"),
        ("encoding", "(sinusoidal + t5(buckets=32)) + alibi", "sinusoidal + t5 + alibi"),
        ("encoding", "learned(max_length=None)", "learned"),
        ("mask", "causal&local( window = +8 )", "causal & local(window=8)"),
        ("normalizer", "softmax(temperature=learned)", "softmax(temperature='learned')"),
        ("normalizer", "sigmoid(bias=-3)", "sigmoid(bias=-3.0)"),
        ("normalizer", "sigmoid(bias=--3)", "sigmoid(bias=3.0)"),
        ("toy", "leaf(sizes=(3,))", "leaf(sizes=(3,))"),
        ("toy", "leaf(sizes=3)", "leaf(sizes=(3,))"),
        ("toy", "leaf(sizes=[1, 2])", "leaf"),
        ("toy", "leaf(sizes=())", "leaf(sizes=())"),
        ("toy", "leaf(sizes=(-1, +2))", "leaf(sizes=(-1, 2))"),
        ("toy", 'leaf(word="it\'s")', 'leaf(word="it\'s")'),
        ("toy", "leaf(word=bare)", "leaf(word='bare')"),
        ("toy", "leaf(either=2)", "leaf(either=2.0)"),
        ("toy", "wrap(inner=leaf(number=1))", "wrap(inner=leaf)"),
        ("toy", "wrap(other=None, inner='leaf( count = 2 )')", "wrap(inner=leaf)"),
        ("toy", "wrap(inner=leaf + wrap(inner=leaf), times=2)", "wrap(inner=leaf + wrap(inner=leaf), times=2)"),
    ],
)
def test_canonical(kind, text, wanted):
    assert canonical(kind, text) == wanted
    assert canonical(kind, wanted) == wanted


ROPE = r"options of rope: base=10000\.0, fraction=1\.0, layout='interleaved'"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        # the place in the text
        ("encoding", "rope(base=", r"cannot read the spec 'rope\(base=' near column \d+; want NAME or NAME\(option=value"),
        ("encoding", "", "cannot read the spec ''"),
        ("encoding", "rope base", r"near column 6"),
        ("encoding", "rope\0", "cannot read the spec"),
        ("encoding", "3", r"'3' at column 1 is neither a name nor NAME\(option=value\)"),
        ("encoding", "rope + 3", "'3' at column 8 is neither"),
        ("encoding", "rope * t5", "neither a name"),
        ("encoding", "a.b", "'a.b' at column 1"),
        ("encoding", "rope(base=x.y)", "'x.y' at column 11"),
        ("encoding", "rope(base=1j)", "'1j' at column 11"),
        ("encoding", "rope(base=-'a')", "column 11"),
        ("encoding", "rope(base=2**3)", r"'2 \*\* 3' at column 11"),
        ("encoding", "__import__('os').system('x')", "neither a name"),
        ("encoding", "rope(3)", r"options are named, as in rope\(option=3\)"),
        ("encoding", "rope(**x)", r"'\*\*' is not allowed"),
        ("encoding", "rope(base=1, base=2)", "repeated|given twice|cannot read"),
        # names
        (
            "encoding",
            "rop",
            r"unknown encoding 'rop' \(nearest: 'rope'\); known: alibi, axial, .*, rope, sandwich, .*, xpos",
        ),
        ("encoding", "_sum", "unknown encoding '_sum'"),
        ("normalizer", "sparse_max", "nearest: 'sparsemax'"),
        ("mask", "casual", r"unknown mask 'casual' \(nearest: 'causal'\); known: bigbird, block_local, causal, "),
        (
            "encodings",
            "rope",
            r"unknown kind 'encodings' \(nearest: 'encoding'\); kinds: encoding, normalizer, score, mask, mixer",
        ),
        # options
        ("encoding", "rope(bse=2)", rf"encoding 'rope\(bse=2\)': unknown option 'bse' \(nearest: 'base'\); {ROPE}"),
        ("encoding", "none(x=1)", "options of none: none"),
        ("encoding", "rope(base='x')", "option 'base' wants a number, got 'x'"),
        ("encoding", "rope(base=True)", "option 'base' wants a number, got True"),
        ("encoding", "rope(base=1e999)", "option 'base' wants a number, got inf"),
        ("encoding", f"rope(base=1{'0' * 400})", "option 'base' wants a number, got 1"),
        ("encoding", "rope(base=(1, 2))", r"option 'base' wants a number, got \(1, 2\)"),
        ("encoding", "rope(base=alibi(form=x))", "option 'base' wants a number"),
        ("encoding", "rope(layout=halve)", r"wants one of 'interleaved', 'half' \(nearest: 'half'\), got 'halve'"),
        ("encoding", "learned(max_length=2.5)", "wants a whole number or None, got 2.5"),
        ("encoding", "shaw(values=1)", "wants True or False, got 1"),
        ("normalizer", "softmax(temperature=learn)", "wants a number or 'learned', got 'learn'"),
        ("toy", "leaf(sizes=(1, x))", "option 'sizes' wants a whole number, got 'x'"),
        ("toy", "leaf(word=3)", "option 'word' wants a string, got 3"),
        ("toy", "wrap", "option 'inner' must be given; options of wrap: inner, times=1, other=None"),
        ("toy", "wrap(inner=3)", "option 'inner' wants a spec of a toy, got 3"),
        ("toy", "wrap(inner=None)", "option 'inner' wants a spec of a toy, got None"),
        ("toy", "wrap(inner=leef)", r"unknown toy 'leef' \(nearest: 'leaf'\)"),
        ("toy", "wrap(inner=wrap(inner=leaf(cont=3)))", r"toy 'leaf\(cont=3\)': unknown option 'cont' \(nearest: 'count'\)"),
        ("toy", "wrap(inner=leaf(number=-1e7))", r"toy 'leaf\(number=-10000000.0\)': number must be >= -1e6"),
        # composition
        ("encoding", "rope & t5", "'&' does not compose encodings"),
        ("mask", "causal + local", r"'\+' does not compose masks; composed are encodings with '\+', masks with '&'"),
        ("score", "dot + cosine", r"'\+' does not compose scores"),
        ("mask", "causal + local & full", "does not compose"),
        ("encoding", "rope + rop", r"unknown encoding 'rop'"),
        # ranges, found by `build`
        ("encoding", "rope(fraction=2)", r"encoding 'rope\(fraction=2.0\)': fraction must be in \(0, 1\], got 2.0"),
        ("encoding", "alibi + rope(fraction=2)", r"encoding 'rope\(fraction=2.0\)': fraction"),
        ("mixer", "attention(heads=3, kv_heads=2)", "kv_heads must divide heads, got 2 and 3"),
        ("mixer", "attention(heads=0)", "heads must be >= 1, got 0"),
        ("encoder", "transformer(layers=0)", "layers must be >= 1, got 0"),
        ("encoder", "transformer(mlp=0)", "mlp must be > 0, got 0.0"),
    ],
)
def test_errors(kind, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        attention.build(kind, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [3, None, b"rope", ["rope"]])
def test_what_is_no_text(given):
    with pytest.raises(ValueError, match="spec is a string such as"):
        unchecked(parse)(given)
    with pytest.raises(ValueError, match="encoding spec is a string such as 'alibi', got"):
        unchecked(check)("encoding", given)


def test_options_given_twice_in_a_parsed_spec():
    with pytest.raises(ValueError, match="option 'base' is given twice"):
        check("encoding", Spec("rope", (("base", 1.0), ("base", 2.0))))


def test_nothing_is_evaluated():
    """A spec is data: names that are functions stay names."""
    assert parse("print") == Spec("print")
    assert parse("exit(code=exec)") == Spec("exit", (("code", Spec("exec")),))


def test_specs_inside_specs_are_built():
    made = attention.build("toy", "wrap(inner=leaf(count=5) + leaf, other=wrap(inner=leaf))")
    (label, (first, _)), times, other = made.made[0].made, *made.made[1:]
    assert (label, first.made[1], times) == ("sum", 5, 1)
    assert other.made[0] == attention.build("toy", "leaf")


def test_names_and_describe():
    for kind in specs.KINDS:
        assert list(attention.names(kind)) == sorted(attention.names(kind))
        for name in attention.names(kind):
            assert not name.startswith("_")
            described = attention.describe(kind, name)
            assert described.name == name
            assert described.summary.endswith(".")
            assert str(described).startswith(f"{name}(" if described.options else f"{name}:")
            assert all(option.name in str(described) for option in described.options)
    assert str(attention.describe("mask", "local")).startswith("local(window=64): A query attends to a window")
    with pytest.raises(ValueError, match="nearest: 'rope'"):
        attention.describe("encoding", "rpoe")
    with pytest.raises(ValueError, match="nearest: 'score'"):
        attention.names("scores")


# Records that know their spec.

KNOWN = [kind for kind in specs.KINDS if kind not in ("encoder", "decoder", "source", "tokenizer")]  # modules and data


@pytest.mark.parametrize("kind", KNOWN)
def test_equal_specs_are_one_object_that_can_be_pickled(kind):
    for name in specs.names(kind):
        if any(option.default is inspect.Parameter.empty for option in specs.options(kind, name)):
            continue
        record = specs.build(kind, name)
        assert record is specs.build(kind, f" {name}( )")
        assert record.spec == name
        assert pickle.loads(pickle.dumps(record)) is record


def test_nested_and_composed_records_are_one_object_too():
    for spec in ("randomized( inner = rope(base=1e4) )", "randomized"):
        assert specs.build("encoding", spec) is specs.build("encoding", "randomized(inner=rope)")
    both = specs.build("mask", "causal & local( window = 4 )")
    assert pickle.loads(pickle.dumps(both)) is both is specs.build("mask", "causal & local(window=4)")


def test_a_record_that_was_changed_is_not_pickled():
    record = specs.build("encoding", "rope")
    for changed in (record._replace(terms=2), Encoding()):
        with pytest.raises(pickle.PicklingError, match="the encoding is pickled as its spec"):
            pickle.dumps(changed)


def test_a_static_argument_compiles_once_for_equal_specs():
    calls = []

    @functools.partial(jax.jit, static_argnums=0)
    def run(record, x):
        calls.append(record.spec)
        return x + 1

    for spec in ("alibi", "alibi()", "alibi(form=symmetric)"):
        run(specs.build("encoding", spec), 1.0)
    assert calls == ["alibi"]


def test_parameters_of_two_owners_are_merged():
    assert merged({"0": {"table": 1}, "1": {}}, {"0": {"scale": 2}}) == {"0": {"table": 1, "scale": 2}, "1": {}}
    with pytest.raises(ValueError, match="the parameter 'table' is shared by the layers and owned by one, too"):
        merged({"0": {"table": 1}}, {"0": {"table": 2}})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("files(train=reviews.tsv)", """: "files(train='reviews.tsv')\""""),
        (
            "files(train=~/my data/a.csv, text=body, validation_share=0.2)",
            """(train='~/my data/a.csv', text=body, validation_share=0.2)""",
        ),
        (r"files(train='C:\\x.csv')", "is one of Windows"),
        (r"files(train='C:\x.csv')", "a backslash is written twice"),
    ],
)
def test_a_spec_that_a_shell_unquoted(text, wanted):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        attention.build("source", text)


def test_a_bare_path_is_the_source_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my reviews (1).csv").write_text("text,label\n")
    for place in (
        "tree/neg",
        "tree/pos",
        "splits/train/neg",
        "splits/train/pos",
        "shards/data",
        "saved",
        "empty",
        "trec6",
        "two",
    ):
        (tmp_path / place).mkdir(parents=True)
    for file in ("tree/neg/1.txt", "tree/pos/1.txt", "splits/train/neg/1", "splits/train/pos/1", "saved/state.json"):
        (tmp_path / file).write_text("x")
    for file in ("shards/data/train-0-of-2.parquet", "shards/data/train-1-of-2.parquet", "shards/data/test-0-of-1.parquet"):
        (tmp_path / file).write_text("x")
    for file in ("two/train.csv", "two/dev.csv", "two/train_old.tsv"):
        (tmp_path / file).write_text("x")
    wanted = {
        "reviews.csv": "files(train='reviews.csv')",
        "/data/reviews.csv.gz": "files(train='/data/reviews.csv.gz')",
        "data/*.jsonl": "files(train='data/*.jsonl')",
        "~/reviews": "files(train='~/reviews')",
        "my reviews (1).csv": "files(train='my reviews (1).csv')",
        "tree": "folder(path='tree')",
        "./tree/": "folder(path='./tree/')",
        "splits": "folder(path='splits')",
        "saved": "hf(path='saved')",
        "shards": "files(train='shards/data/train[-._]*.parquet', test='shards/data/test-0-of-1.parquet')",
        "trec6": "trec6",
    }
    assert {text: specs.canonical("source", text) for text in wanted} == wanted
    with pytest.raises(
        ValueError, match=r"no source takes empty as it stands; say what it is: files\(train=...\), folder\(path"
    ):
        specs.check("source", "empty")
    with pytest.raises(ValueError, match=r"two: train\.csv and train_old\.tsv would both be train"):
        specs.check("source", "two")
    with pytest.raises(ValueError, match="unknown source 'absent'"):
        specs.check("source", "absent")
    with pytest.raises(ValueError, match="is neither a name nor"):
        specs.check("encoding", "a/b")


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "\x1b[31m" * 99, "rope(base=" * 10**4, "a\nb", "'" * 999, "rope(" + "b" * 10**5 + "=1)"]
)
def test_messages_quote_specs_short_and_plain(text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (whatever it says)
        attention.build("encoding", text)
    message = messages.one_line(str(caught.value))
    assert len(message) <= messages.LONGEST
    assert message.isprintable()
    assert len(str(caught.value)) < 3000


def test_one_line_keeps_the_beginning_and_the_end():
    assert messages.one_line("a\n b\t\x1b[0m é") == r"a b \x1b[0m é"
    long = messages.one_line("begin " + "x" * 10**6 + " end")
    assert len(long) <= messages.LONGEST
    assert (long[:7], long[-4:]) == ("begin x", " end")
    assert messages.listed(["a\n", *"bcd"], 2) == r"a\n, b, ... (4 in all)"
    assert messages.quoted("ab" * 10**6, 21) == "'abababababa...babab'"
