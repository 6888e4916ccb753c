"""Generated tasks with an answer at each word, as runs: their report by length, counted by hand, and their rules."""

import numpy as np
import pytest

from attention import files
from attention.commands import eval as entry
from attention.evaluation import trained as evaluate
from attention.training import command_line, config, loop

RUNS = {
    "tagging": ("bucket_sort(train=60, validation=20, test=20, lengths=48, max_length=6)", {"encoder": "embeddings"}),
    "lm": (
        "flip_flop(train=60, validation=20, test=20, lengths=34, length=8)",
        {"encoder": "transformer(layers=1, mlp=1)", "mixer": "attention(heads=1)", "mask": "causal"},
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    """The task and the folder of a run."""
    source, model = RUNS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
        fields = {
            "task": request.param,
            "rival": "none",
            "data": {"source": source, "max_length": 12, "buckets": 1},
            "model": {"dim": 8, **model},
            "training": {"steps": 4, "warmup": 1, "batch_size": 16, "eval_every": 4},
        }
        loop.train(config.from_dict(fields), folder / "run")
        yield request.param, folder / "run"


def test_the_report_by_length_is_what_is_right(run):
    """Of words for tags, of whole answers for tokens; each text alone, what stands at its places against what is wanted."""
    task, folder = run
    trained = evaluate.load(str(folder))
    data = trained.load_data()
    outputs = trained.outputs(trained.examples("lengths", data))
    names = np.array(data.classes or data.tokenizer.vocabulary(data.tokenizer_state))
    scores = []
    for predicted, asked, wanted in zip(outputs["predicted"][0], outputs["asked"][0], data.wanted["lengths"]):
        words = [word for word in wanted.split() if task == "tagging" or word != "_"]  # a tagger says something at each
        right = [said == word for said, word in zip(names[predicted[asked]], words, strict=True) if word != "_"]
        scores.append(np.mean(right) if task == "tagging" else all(right))
    lengths = np.array([len(text.split()) for text in data.texts["lengths"]])
    found = files.read_json(folder / "result.json")["by_length"]
    assert found["trained_length"] == {"tagging": 12, "lm": 8}[task]
    for row in found["ranges"]:
        inside = (lengths > row["above"]) & (lengths <= row["up_to"])
        assert row["accuracy"] == [pytest.approx(np.mean(np.array(scores)[inside]), abs=1e-6)]
    assert trained.accuracy_by_length(data) == found
    assert found["of_words"] == (task == "tagging")


def test_rules_stand_beside_every_split(run, capsys):
    """Those of training and of an evaluation are the same."""
    task, folder = run
    split, rule = {"tagging": ("lengths", "the_same_place"), "lm": ("sparse", "the_bit_before")}[task]
    assert command_line.run_main(entry.main, ["eval.py", f"--workdir={folder}", f"--split={split}"]) == 0
    trained = evaluate.load(str(folder))
    data = trained.load_data()
    told = data.baselines[split]
    assert rule in told
    assert trained.baselines(trained.examples(split, data)) == told
    assert f"baseline {rule}: {100 * told[rule]:.2f}" in capsys.readouterr().out
