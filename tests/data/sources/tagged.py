"""Evidence of words with a tag each."""

import gzip
import json

import pyarrow.parquet
import pytest

from attention import specs
from attention.data import dataset
from attention.data.contracts import Split
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import REAL, build, error_of, real_data, write

CONLLU = """\
# sent_id = 1
# text = Don't go to 10 000 parks
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\tMood=Imp|VerbForm=Fin\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\tMood=Imp\t0\troot\t_\t_
4\tto\tto\tADP\tIN\t_\t6\tcase\t_\t_
5\t10 000\t10000\tNUM\tCD\tNumType=Card\t6\tnummod\t_\t_
5.1\tnothing\t_\tX\t_\t_\t_\t_\t_\t_
6\tparks\tpark\tNOUN\tNNS\tNumber=Plur\t3\tobl\t_\t_


# sent_id = 2
1\tgo\tgo\tVERB\tVB\tMood=Ind\t0\troot\t_\t_
2\t#\t#\t_\t#\t_\t1\tpunct\t_\t_
"""
CONLL = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP B-PER\nBlackburn NNP I-NP I-PER"


def rows_of(count, first=0):
    return [(f"word {n} of {'them' if n % 3 else 'it'}", f"{'AB'[n % 2]} N P _") for n in range(first, first + count)]


def table(rows, names="text\ttags"):
    return "\n".join([names, *("\t".join(row) for row in rows)]) + "\n"


def prepare(folder):
    """Sentences in a folder of splits, in one table with other columns, in columns and as CoNLL-U."""
    (folder / "splits").mkdir()
    (folder / "other").mkdir()
    for name, first in (("train", 0), ("dev", 50), ("test", 80)):
        write(folder / f"splits/{name}.tsv", table(rows_of(40, first)))
        write(folder / f"other/{name}.tsv", table(rows_of(30, first + 100)))
    both = [(text, tags, text.upper(), tags.replace("N", "M")) for text, tags in rows_of(40)]
    write(folder / "four.tsv", table(both, "text\ttags\ttitle\tmarks"))
    write(folder / "bare", table(rows_of(40)).partition("\n")[2])
    write(folder / "words", "\n\n".join(f"w{n} {'AB'[n % 2]} x {'CD'[n % 2]}\nand A x _" for n in range(40)))
    (folder / "latin").write_bytes(b"\n\n".join(b"caf\xe9%d %s\nand _" % (n, b"AB"[n % 2 :][:1]) for n in range(40)))


SPEC = "tagged(path='$FOLDER/splits')"
FOUR = "path=None, train='$FOLDER/four.tsv'"
OPTIONS = {
    "path": "'$FOLDER/other'",
    "train": "'$FOLDER/four.tsv', path=None",
    "validation": "'$FOLDER/four.tsv'",
    "test": "'$FOLDER/four.tsv'",
    "format": "table, path=None, train='$FOLDER/bare', text=0, tags=1",
    "text": f"title, {FOUR}",
    "tags": f"marks, {FOUR}",
    "encoding": "'latin-1', path=None, train='$FOLDER/latin'",
    "validation_share": f"0.25, {FOUR}",
}
ERRORS = {
    "tagged": "give path=, a folder with a file for each split, or train=",
    "tagged(path='a', train='b')": "and not both",
    "tagged(path='a', validation_share=1.0)": "between 0 and 1",
    "tagged(path='a', format=conll)": "(nearest: 'conllu')",
    "tagged(path='a', encoding=latin1252)": "is none that Python knows",
}
CASES = (SourceCase(SPEC), SourceCase("tagged(train='$FOLDER/words', validation='$FOLDER/words')"))
ROW = Row(SPEC, OPTIONS, SourceEvidence(CASES, prepare, seeded=False, errors=ERRORS))


def read(path, **options):
    """The sentences of a file, and their tags; validation is the file as well."""
    corpus = build("tagged", train=path, validation=str(path), **options).load(0)
    return list(zip(corpus.splits["train"].texts, corpus.splits["train"].wanted)), corpus


@real_data
def test_published_counts():
    corpus = build("tagged", path=f"{REAL}/ud_english_lines").load(0)
    words = {name: sum(len(text.split(" ")) for text in split.texts) for name, split in corpus.splits.items()}
    assert {name: len(split.texts) for name, split in corpus.splits.items()} == {
        "train": 3457,
        "validation": 1118,
        "test": 1121,
    }
    assert words == {"train": 64684, "validation": 21637, "test": 19984}
    universal = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
    assert corpus.classes == tuple(universal.split())
    test = corpus.splits["test"]
    train = corpus.splits["train"]
    known = {word for text in train.texts for word in text.split(" ")}
    unseen = sum(word not in known for text in test.texts for word in text.split(" "))
    assert 100 * unseen / words["test"] == pytest.approx(9.2, abs=0.05)  # as the set's page says
    counts = {}
    for text, tags in zip(train.texts, train.wanted):
        for word, tag in zip(text.split(" "), tags.split(" ")):
            counts.setdefault(word, {}).setdefault(tag, 0)
            counts[word][tag] += 1
    usual = {word: max(of, key=of.get) for word, of in counts.items()}
    right = sum(
        usual.get(word, "NOUN") == tag
        for text, tags in zip(test.texts, test.wanted)
        for word, tag in zip(text.split(" "), tags.split(" "))
    )
    assert 100 * right / words["test"] == pytest.approx(88.1, abs=0.1)  # the most frequent tag of each word


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_words_of_conllu(tmp_path, ends):
    """Syntactic words alone; comments, tokens of several words and empty nodes are passed over, and blanks become ``_``."""
    path = write(tmp_path / "a.conllu", CONLLU.replace("\n", ends))
    sentences, corpus = read(path)
    assert sentences == [("Do n't go to 10_000 parks", "AUX PART VERB ADP NUM NOUN"), ("go #", "VERB _")]
    assert corpus.classes == ("ADP", "AUX", "NOUN", "NUM", "PART", "VERB")
    assert read(path, tags="xpos")[0][0][1] == "VB RB VB IN CD NNS"
    assert [tags for _, tags in read(path, tags="Mood")[0]] == ["Imp _ Imp _ _ _", "Ind _"]
    for odd in "\u2028\x85\x0c":  # which end no line
        plain = write(tmp_path / "plain", CONLLU.replace("10 000 parks", f"10{odd}000 parks", 1))
        assert read(plain)[0] == sentences


def test_columns_of_words_and_tags(tmp_path):
    path = write(tmp_path / "eng.train", CONLL)
    sentences, corpus = read(path)
    assert sentences == [("EU rejects", "B-ORG O"), ("Peter Blackburn", "B-PER I-PER")]
    assert corpus.classes == ("B-ORG", "B-PER", "I-PER", "O")
    assert read(path, tags=1)[0][0] == ("EU rejects", "NNP VBZ")
    assert read(write(tmp_path / "tabs.tsv", "New York\tA\n,\tB\n"))[0] == [("New_York ,", "A B")]
    assert read(write(tmp_path / "b", "10\xa0000  A\n# B\n"))[0] == [("10_000 #", "A B")]
    assert "eng.train, line 3: 4 columns, tags=7; they are counted from 0" in error_of(lambda: read(path, tags=7))
    assert "4 columns, text=-5" in error_of(lambda: read(path, text=-5))
    assert read(write(tmp_path / "c.conll", "A\tx\tB\nC\tx\tD\n"), text=2, tags=0)[0] == [("B D", "A C")]


def test_tables_in_every_format(tmp_path):
    rows = [("Show  All ", "VERB PRON"), ("go", "_")]
    write(tmp_path / "a.tsv", table(rows))
    write(tmp_path / "a.csv", "tags,text\n" + "".join(f"{tags},{text}\n" for text, tags in rows))
    write(tmp_path / "a.jsonl", "".join(json.dumps({"text": text, "tags": tags}) + "\n" for text, tags in rows))
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(table(rows).encode()))
    for name in ("a.tsv", "a.csv", "a.jsonl", "a.tsv.gz"):
        assert read(tmp_path / name)[0] == [("Show All", "VERB PRON"), ("go", "_")]
    bare = write(tmp_path / "b.tsv", "Show All\tVERB PRON\n")
    assert read(bare, format="table", text=0, tags=1)[0] == [("Show All", "VERB PRON")]


def test_words_and_tags_are_lists(tmp_path):
    """Also numbers of classes that have names; a blank inside a word becomes ``_``."""
    words, tags = [["New York", "is", "big"], ["Rome"]], [[1, 0, 0], [1]]
    named = {"ner_tags": {"feature": {"names": ["O", "B-LOC"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    columns = pyarrow.table({"tokens": words, "ner_tags": tags})
    columns = columns.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": named}})})
    pyarrow.parquet.write_table(columns, tmp_path / "a.parquet")
    rows = [
        {"tokens": each, "ner_tags": [named["ner_tags"]["feature"]["names"][tag] for tag in row]}
        for each, row in zip(words, tags)
    ]
    write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for name in ("a.parquet", "a.jsonl"):
        found = read(tmp_path / name, text="tokens", tags="ner_tags")[0]
        assert found == [("New_York is big", "B-LOC O O"), ("Rome", "B-LOC")]
    for row, said in (
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "line 3: 2 words and 1 tags"),
        ({"tokens": ["a", 3], "ner_tags": ["O", "O"]}, "line 3: 'tokens' is a string or a list of words, got ['a', 3]"),
        ({"tokens": ["a"], "ner_tags": [None]}, "line 3: 'ner_tags' is a string or a list of tags, got [None]"),
        ({"tokens": [], "ner_tags": []}, "line 3: 'tokens' is empty"),
    ):
        write(tmp_path / "b.jsonl", "".join(json.dumps(each) + "\n" for each in (*rows, row)))
        assert error_of(lambda: read(tmp_path / "b.jsonl", text="tokens", tags="ner_tags")).endswith(said)


def test_a_treebank_is_read_from_its_folder(tmp_path):
    """Beside its raw texts; split in pieces; and as a bare path."""
    for name in ("train-a", "train-b", "dev", "test"):
        write(tmp_path / f"en_x-ud-{name}.conllu", CONLLU.replace("parks", name))
        write(tmp_path / f"en_x-ud-{name}.txt", "Don't go to 10 000 parks")
    write(tmp_path / "README.md", "about train")
    spec = specs.canonical("source", str(tmp_path))
    assert spec == f"tagged(path='{tmp_path}')"
    splits = specs.build("source", spec).load(0).splits
    last = {name: [text.split(" ")[-1] for text in split.texts[::2]] for name, split in splits.items()}
    assert last == {"train": ["train-a", "train-b"], "validation": ["dev"], "test": ["test"]}
    assert specs.canonical("source", f"{tmp_path}/en_x-ud-dev.conllu") == f"tagged(train='{tmp_path}/en_x-ud-dev.conllu')"


def test_tags_that_train_has_not_are_said(tmp_path):
    train, test = write(tmp_path / "a", "a A\nb B\n"), write(tmp_path / "b", "a C\nb _\n")
    corpus = build("tagged", train=train, validation=str(train), test=str(test)).load(0)
    assert corpus.classes == ("A", "B", "C")
    assert corpus.notes == ("tags of test that do not occur in train: C",)


def test_a_validation_split_keeps_its_tags(tmp_path):
    write(tmp_path / "a.tsv", table(rows_of(40)))
    corpus = build("tagged", train=tmp_path / "a.tsv").load(0)
    pairs = {text: tags for split in corpus.splits.values() for text, tags in zip(split.texts, split.wanted)}
    assert pairs == dict(rows_of(40))
    assert len(corpus.splits["validation"].texts) == 4
    hashes = {dataset.content_hash(split) for split in corpus.splits.values()}
    bare = {dataset.content_hash(Split(split.texts, None)) for split in corpus.splits.values()}
    assert len(hashes | bare) == 4


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.tsv", "text\ttags\na b\tA B\nc d\tA\n", "a.tsv, line 3: 2 words and 1 tags"),
        ("a.tsv", "a b\tA B\n", "a.tsv, line 1: a blank in the tag 'A B'; format=table reads"),
        ("a.conllu", CONLLU + "\n1\tgo\tgo\n", "a.conllu, line 17: 3 columns, wanted are the 10 of CoNLL-U"),
        (
            "a.conllu",
            CONLLU + CONLLU[CONLLU.index("1\tDo") :].replace("1", "x", 1),
            "line 16: the first column of CoNLL-U is a",
        ),
        ("a", "a A\n\nb\n", "a, line 3: one column, 'b'; wanted are a word and its tag"),
        ("a", "go\tA\nNew York\n", "a, line 2: one column, 'New York'; wanted are a word and its tag"),
        ("a", "EU NNP I-NP O\ncall NN I-NP\n", "a, line 2: 3 columns where line 1 has 4"),
        ("a", "-DOCSTART-\n\ncall NN O\nto TO I-NP 17\n", "a, line 4: 4 columns where line 3 has 3"),
        ("a", "go A\n#begin document (x); part 0\n", "a, line 2: '#begin document (x); part 0' is a comment"),
        ("a", "# text = go\ngo A\n", "a, line 1: '# text = go' is a comment, as CoNLL-U has them"),
        ("a", "go\tA\n# newdoc\n", "a, line 2: '# newdoc' is a comment"),
        ("a", "go\tA\t\nto\tB\t\n", "a, line 1: tags=-1 is empty, of 3 columns"),
        ("a", "\tA\nto\tB\n", "a, line 1: text=0 is empty"),
        ("a.conllu", "1\tgo\tgo\tVERB\t_\t_\t0\troot\t_\n" + CONLLU, "a.conllu, line 1: 9 columns, wanted are the 10"),
        ("a.conllup.gz", CONLLU.replace("\t", " "), "a.conllup.gz, line 3: one column, wanted are the 10 of CoNLL-U with TABs"),
        ("a", "\n\n", "the split is empty, there is no sentence"),
        ("a", "a A\nb A\n", "train has one tag only, A"),
        ("a", "a _\nb _\n", "train has no word with a tag"),
        ("a", b"caf\xe9 A\n", "byte 0xe9 is not UTF-8"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(tmp_path, name, content, wanted):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert wanted in error_of(lambda: read(tmp_path / name))


def test_options_that_a_format_has_not(tmp_path):
    write(tmp_path / "a.conllu", CONLLU)
    write(tmp_path / "b", "a A\nb B\n")
    assert "tags= names a column" in error_of(lambda: read(tmp_path / "a.conllu", tags=3))
    assert "its words are the forms" in error_of(lambda: read(tmp_path / "a.conllu", text="lemma"))
    assert "so they have numbers; got tags='upos'" in error_of(lambda: read(tmp_path / "b", tags="upos"))
    said = error_of(lambda: read(tmp_path / "a.conllu", tags="Modd"))
    assert "train has no word with a tag for tags=Modd (nearest: 'Mood'), of id, form, lemma, upos" in said
    assert "Mood, NumType, Number, VerbForm" in said
    assert "tags=UPOS (nearest: 'upos')" in error_of(lambda: read(tmp_path / "a.conllu", tags="UPOS"))
    write(tmp_path / "a.tsv", table(rows_of(4)))
    said = error_of(lambda: read(tmp_path / "a.tsv", tags="tag"))
    assert "the column 'tag' is missing (nearest: 'tags'); columns: text, tags" in said
    assert "the column 'texts' is missing (nearest: 'text')" in error_of(lambda: read(tmp_path / "a.tsv", text="texts"))
    assert "has no file with 'train' in its name; it has a.conllu, a.tsv, b" in error_of(
        lambda: build("tagged", path=tmp_path).load(0)
    )
    assert "train= names files" in error_of(lambda: build("tagged", path=tmp_path / "b").load(0))
