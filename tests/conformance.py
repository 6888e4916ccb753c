"""The conformance table: methods × tests, from the reports of test runs.

python -m pytest --junitxml=suite.xml && python -m pytest -m oracle tests/oracles --junitxml=oracles.xml
python -m tests.conformance suite.xml oracles.xml > docs/conformance.md

A cell counts the tests that passed for a method in all its rows; a failed one shows how many of how many.
"""

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict

import attention

# Files of the suite whose parametrised tests have the method's spec or name as their (first) parameter.
FILES = {
    "normalizer": (
        "normalizers.test_normalizers",
        "normalizers.test_normalizer_facts",
        "models.test_parts_train",
        "oracles.test_oracles",
    ),
    "score": ("scores.test_scores", "scores.test_scores_in_models", "models.test_parts_train", "oracles.test_oracles"),
    "encoding": ("encodings.test_encodings", "encodings.test_encodings_in_models", "oracles.test_oracles"),
    "pooling": ("poolings.test_poolings", "models.test_parts_train", "oracles.test_oracles"),
    "encoder": ("encoders.test_encoders", "models.test_parts_train", "oracles.test_oracles"),
    "decoder": ("models.test_seq2seq", "oracles.test_oracles"),
    "mixer": ("mixers.test_mixers", "models.test_parts_train", "oracles.test_oracles"),
    "mask": ("masks.test_masks", "masks.test_mask_kernels"),
}


def results(paths):
    """(file, test, parameter, passed) of every parametrised test in the reports."""
    for path in paths:
        for case in ET.parse(path).iter("testcase"):
            found = re.fullmatch(r"(\w+)\[(.*)\]", case.get("name", ""))
            if found:
                failed = any(case.find(tag) is not None for tag in ("failure", "error"))
                yield case.get("classname", "").removeprefix("tests."), found[1], found[2], not failed


def table(kind, cases):
    """Lines of Markdown."""
    names, counts, oracles = attention.names(kind), defaultdict(Counter), Counter()
    for file, test, parameter, passed in cases:
        if file not in FILES[kind] or (file == "models.test_parts_train" and test != f"test_{kind}"):
            continue
        if test == "test_oracle":
            of, method, *_ = parameter.split("-")
            oracles[method] += of == kind and passed
            continue
        method = max((name for name in names if re.search(rf"(?:^|-){name}(?![a-z0-9])", parameter)), key=len, default=None)
        if method is not None:
            counts[test][method, passed] += 1
    tests = sorted(counts, key=lambda test: -sum(counts[test].values()))
    titles = ["trains" if test == f"test_{kind}" else test.removeprefix("test_").replace("_", " ") for test in tests]
    yield f"| {kind} | " + " | ".join(titles) + " | oracles |"
    yield "| --- " * (len(tests) + 2) + "|"
    for name in names:
        cells = []
        for test in tests:
            passed, failed = counts[test][name, True], counts[test][name, False]
            cells.append(f"**{passed} of {passed + failed}**" if failed else str(passed or ""))
        yield f"| `{name}` | " + " | ".join(cells) + f" | {oracles[name] or ''} |"


def main(paths):
    """Prints the page."""
    cases = list(results(paths))
    print("# Conformance\n")
    print(
        "How many tests of each kind every method passes, over all rows it has in its table (a row is a method with options)."
    )
    print("The last column counts comparisons with other packages, value and gradient, beside the NumPy float64 reference that")
    print("`reference` and `derivatives` use. Made by `tests/conformance.py` from the reports of a run; bold is a failure.\n")
    for kind in FILES:
        print("\n".join(table(kind, cases)), end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
