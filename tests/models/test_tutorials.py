"""The tutorials' models: each is what its formula says, in plain NumPy, and the page's commands and numbers are right."""

import functools
import json
import re
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.tasks import classification
from attention.training import command_line, config, recipe
from studies import tutorials, vectors
from studies.tutorials import ROWS
from tests.support.encoders import lstm
from tests.support.helpers import float64, jit

TEXT = tutorials.PAGE.read_text(encoding="utf-8")
V, C, T, LENGTHS = 30, 6, 12, (12, 7, 1)
BY_NAME = {row.name: row for row in ROWS}
SIGMOID = lambda x: 1 / (1 + np.exp(-x))
softmax = lambda s, axis=-1: np.exp(s) / np.exp(s).sum(axis, keepdims=True)


@functools.cache
def built(name):
    """The config and the model of a row, and random parameters of its shapes."""
    settings = config.from_dict(tutorials.fields(BY_NAME[name]))
    model = classification.sized(recipe.checked_model(settings), V, C)
    tokens = jnp.zeros((1, 2), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), tokens, tokens == 0)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.2, leaf.shape), leaf.dtype), shapes)
    params["embedding"]["table"] /= 8  # states a fifth of a unit wide
    return settings, model, params


@functools.cache
def ran(name):
    """Tokens, and what the model makes of them: logits, and what it captures."""
    _, model, params = built(name)
    tokens = jnp.asarray(np.random.default_rng(1).integers(1, V, (len(LENGTHS), T)), jnp.int32)
    valid = jnp.arange(T) < jnp.asarray(LENGTHS)[:, None]
    return np.asarray(tokens), *jit(lambda params: model.apply({"params": params}, tokens, valid, capture=True))(params)


# The formulas: of the states [n 64] of one text with positions added, and the parameters. 40 is the longest text.


def half_period(n):
    return np.sin(np.arange(n) * np.pi / 80)[:, None]


def period_d(n):
    angle = 2 * np.pi * np.arange(n)[:, None] / 32
    return np.where(np.arange(64) % 2, np.cos(angle), np.sin(angle))


def sum_of_sine_and_cosine(n):
    p = np.arange(n)
    return (np.sin(p / 10000**0.5) + np.cos(p / 10000**0.75))[:, None]


def plain(n):
    return np.zeros((n, 1))


def weigh(score, share=softmax):
    return lambda x, own: share(score(x, own)) @ x


def all_pairs(x, own, heads=1, causal=False):
    """softmax(QKᵀ/√H) V of each head, with the projections that there are."""
    projected = lambda name: np.einsum("td,dnh->nth", x, own[name]["kernel"]) + own[name]["bias"][:, None]
    q, k, v = (projected(name) for name in ("query", "key", "value"))
    scores = q @ np.swapaxes(k, 1, 2) / np.sqrt(64 / heads)
    if causal:
        scores = np.where(np.tri(len(x)) > 0, scores, -np.inf)
    return softmax(scores) @ v


def through_output(x, own, **rest):
    own = own["encoder"]["mixer"]
    mixed = np.einsum("nth,nhd->td", all_pairs(x, own, **rest), own["output"]["kernel"]) + own["output"]["bias"]
    return mixed.mean(0)


def product_of_all(x, own):
    """(softmax(QKᵀ/√d)[i, j] ⊙ V[j]) with weights that multiply rows, summed over both positions."""
    mixer = own["encoder"]["mixer"]
    q, k, v = (x @ mixer[name]["kernel"][:, 0] + mixer[name]["bias"][0] for name in ("query", "key", "value"))
    return (softmax(q @ k.T / 8)[:, :, None] * v[None]).sum((0, 1))


def bilstm_states(x, own):
    layer = own["encoder"]["layer_0"]
    forward, backward = np.stack(lstm(x, layer["forward"])), np.stack(lstm(x[::-1], layer["backward"]))[::-1]
    return np.concatenate([forward, backward], 1), np.concatenate([forward[-1], backward[0]])


def bilstm(x, own):
    (states, final), pooling = bilstm_states(x, own), own["pooling"]
    weights = np.exp(SIGMOID(states @ pooling["kernel"] + final @ pooling["context"] + pooling["bias"]))
    return weights / weights.sum() @ states


MEAN = lambda x, own: x.mean(0)
LEARNED = weigh(lambda x, own: x @ own["pooling"]["query"])
FORMULAS = {
    "softmax_pooling": (plain, weigh(lambda x, own: x.sum(1))),
    "softmax_pooling, QKV": (plain, product_of_all),
    "sine_positions, half a period": (half_period, LEARNED),
    "sine_positions, period d/2": (period_d, LEARNED),
    "sine_positions, frozen vectors": (half_period, LEARNED),
    "score_softmax_sum, with itself": (sum_of_sine_and_cosine, weigh(lambda x, own: (x * x).sum(1))),
    "score_softmax_sum, misprint": (
        sum_of_sine_and_cosine,
        weigh(lambda x, own: (x * x).sum(1), lambda s: s / s.sum()),
    ),
    "score_softmax_sum, with the last": (sum_of_sine_and_cosine, weigh(lambda x, own: x @ x[-1])),
    "score_softmax_sum, with each other": (sum_of_sine_and_cosine, lambda x, own: (softmax(x @ x.T) @ x).mean(0)),
    "bilstm_attention": (plain, bilstm),
    "bilstm_attention, mean in its place": (plain, lambda x, own: bilstm_states(x, own)[0].mean(0)),
    "additive_gate": (plain, MEAN),
    "additive_gate, no softmax": (plain, MEAN),
    "additive_gate, self-attention": (plain, through_output),
    "additive_gate, multi-head": (plain, functools.partial(through_output, heads=4)),
    "additive_gate, masked": (plain, functools.partial(through_output, heads=4, causal=True)),
    "multiplicative_gate": (plain, MEAN),
    "multiplicative_gate, no softmax": (plain, MEAN),
}


def head(name, vector, own):
    """From the pooled vector to the logits."""
    if "gate" in name:
        gate = SIGMOID(vector @ own["head_gate"]["kernel"] + own["head_gate"]["bias"])
        vector = vector * gate + (vector if name.startswith("additive") else 0)
        vector = vector if "no softmax" in name else softmax(vector)
    if name.startswith("bilstm"):
        vector = np.maximum(vector @ own["head_hidden"]["kernel"] + own["head_hidden"]["bias"], 0)
    return vector @ own["head"]["kernel"] + own["head"]["bias"]


def test_every_row_has_its_formula():
    assert set(FORMULAS) == set(BY_NAME) - {"transformer"}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_model_is_the_formula(name):
    """Pooled vectors and logits of three texts in one padded batch, from the same parameters."""
    tokens, logits, captured = ran(name)
    own, (positions, formula) = float64(built(name)[2]), FORMULAS[name]
    for b, n in enumerate(LENGTHS):
        x = 8 * own["embedding"]["table"][tokens[b, :n]] + positions(n)
        wanted = formula(x, own)
        np.testing.assert_allclose(captured["pooled"][b], wanted, atol=3e-5 * max(1, np.abs(wanted).max()))
        np.testing.assert_allclose(logits[b], head(name, wanted, own), atol=1e-4)


@pytest.mark.parametrize("name", BY_NAME)
def test_sizes_are_the_tutorials(name):
    settings, model, _ = built(name)
    words = int(re.findall(r"max_size=(\d+)", settings.data.tokenizer)[0])
    assert words == (1002 if name.startswith("bilstm") else 1000)
    assert (settings.model.dim, len(settings.seeds)) == (64, 5)
    if name.startswith("bilstm"):
        assert (model.encoder.hidden, model.encoder.width(64), settings.model.head_hidden) == (64, 128, 64)


# The page.


def commands(text):
    """Lines of the page that train."""
    return {line for line in text.splitlines() if line.startswith("python train.py --config")}


def test_the_page_has_the_command_of_every_row_and_no_other():
    own = {line for line in commands(TEXT) if "mine" not in line}
    assert own == {row.command() for row in ROWS}


@pytest.mark.parametrize("command", sorted(commands(TEXT)))
def test_the_commands_of_the_page_build(command):
    parsed = command_line.parse_config(["train.py", *shlex.split(command)[2:]], default="")
    settings = config.from_dict(parsed.fields.to_dict())
    recipe.checked_model(settings)
    assert all(argument.startswith(("train.py", "--workdir")) for argument in parsed.argv)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_headers_of_the_configs_have_the_flags(row):
    header = " ".join((tutorials.ROOT / f"configs/tutorials/{row.config}.py").read_text().partition('"""\n\n')[0].split())
    flags = row.command().partition(".py --config=")[2].partition(" ")[2]
    if not (row.config == "multiplicative_gate" and "bare" in flags):
        assert flags in header
    assert f"python train.py --config=configs/tutorials/{row.config}.py" in header


def test_the_page_says_what_the_numbers_say():
    found = json.loads(tutorials.NUMBERS.read_text())
    assert tutorials.page(TEXT, found) == TEXT
    assert list(found["rows"]) == list(BY_NAME)
    for row in ROWS:
        assert found["rows"][row.name]["command"] == row.command()
        assert len(found["rows"][row.name]["test"]) == 5


def said(*numbers):
    """That the page has these numbers, as they are written."""
    words = " ".join(TEXT.split())
    for number in numbers:
        assert number in words, number


def test_the_worked_examples():
    pool = lambda spec, states: attention.build("pooling", spec).apply({}, jnp.asarray(states, jnp.float32), attention.Call())
    itself, misprint = "query(q=self, scaled=False)", "query(q=self, scaled=False, normalizer=sum_norm)"
    for spec in (itself, misprint):  # three orthonormal states
        pooled = pool(spec, np.eye(3))
        np.testing.assert_allclose(pooled.weights, 1 / 3, atol=1e-7)
        np.testing.assert_allclose(pooled.x, 1 / 3, atol=1e-7)
    np.testing.assert_allclose(attention.softmax(jnp.arange(1.0, 4)), [0.09003057, 0.24472847, 0.66524096], atol=1e-7)
    said("[0.09003057, 0.24472847, 0.66524096]")
    longer = np.diag([2.0, 1, 1])
    np.testing.assert_allclose(pool(itself, longer).weights, [0.909, 0.045, 0.045], atol=5e-4)
    np.testing.assert_allclose(pool(misprint, longer).weights, [0.667, 0.167, 0.167], atol=5e-4)
    said("0.909, 0.045, 0.045", "0.667, 0.167, 0.167")
    last = "query(q=last, scaled=False{})"
    np.testing.assert_allclose(pool(last.format(", normalizer=sum_norm"), [[2.0], [-2.5], [1]]).weights, [4, -5, 2], rtol=1e-6)
    np.testing.assert_allclose(pool(last.format(""), [[2.0], [-2.5], [1]]).weights, [0.725, 0.008, 0.267], atol=5e-4)
    said("the weights 4, -5, 2", "0.725, 0.008, 0.267")


def test_the_slips_in_numbers():
    # The code of score_softmax_sum as ten states without content.
    code = attention.sin_cos_sum(jnp.arange(10))[:, None] * jnp.ones(64)
    weights = attention.query_pool(code, None, scale=1.0)[1]
    np.testing.assert_allclose([weights[9], weights[0]], [0.748, 0.0000045], rtol=0.01)
    steps = np.diff((np.asarray(code) ** 2).sum(1))
    assert 1.25 < steps.min() < steps.max() < 1.4
    assert 1.375 < float(attention.sin_cos_sum(jnp.array([39]))[0]) < 1.385
    first = np.exp(code[0] @ code[:3].T)
    np.testing.assert_allclose(first[1:] / first[:-1], 1.9, atol=0.05)
    said(
        "1.9 times the weight of the one before",
        "has weight 0.748, the first 0.0000045",
        "the steps are scores of 1.3",
        "between 1 and 1.38 over 40",
    )
    # A sigmoid in the exponent: the largest weight that one of n tokens can have.
    for n, share in ((10, 0.232), (40, 0.065)):
        np.testing.assert_allclose(np.e / (np.e + n - 1), share, atol=5e-4)
    said("23.2 %", "6.5 %")
    # A softmax of a softmax.
    np.testing.assert_allclose(softmax(softmax(np.arange(1.0, 4))), [0.25, 0.30, 0.45], atol=5e-3)
    best = softmax(np.eye(6)[0])[0]
    np.testing.assert_allclose([best, -np.log(best)], [0.352, 1.044], atol=5e-4)
    said("[0.25, 0.30, 0.45]", "0.352", "1.044")
    # Embeddings as tutorials start them, and the end of half a period.
    width = 0.1 / np.sqrt(12)
    np.testing.assert_allclose([8 * width, 8 / (8 * width)], [0.23, 35], rtol=0.02)
    said("a standard deviation of 0.23", "35 times")
    assert float(attention.sin_half_period(jnp.array([40]), 64, max_length=40).min()) > 0.999
    table = attention.sin_period_d(jnp.arange(40), 64)
    np.testing.assert_allclose(table[0], table[32], atol=1e-6)


@pytest.mark.parametrize("name", ["softmax_pooling", "softmax_pooling, QKV", "additive_gate", "multiplicative_gate"])
def test_bags_of_words(name):
    """Order changes nothing; a text written twice has the same weighted mean, and twice the sum."""
    _, model, params = built(name)
    run = lambda tokens: model.apply({"params": params}, tokens, tokens > 0, capture=True)[1]["pooled"]
    tokens = jnp.array([[3, 9, 4, 7, 5]])
    np.testing.assert_allclose(run(tokens[:, ::-1]), run(tokens), atol=1e-5)
    twice = 2 if "QKV" in name else 1
    np.testing.assert_allclose(run(jnp.tile(tokens, 2)), twice * run(tokens), atol=1e-5)


@pytest.mark.parametrize("name", ["sine_positions, half a period", "sine_positions, period d/2"])
def test_weights_are_words_times_places(name):
    """a·b = c·d for two words that change places, up to the sums they are divided by, which others see too."""
    _, model, params = built(name)
    run = lambda tokens: model.apply({"params": params}, tokens, tokens > 0, capture=True)[1]["pooling"][0]
    one, other = run(jnp.array([[3, 9, 4]])), run(jnp.array([[9, 3, 4]]))
    np.testing.assert_allclose(one[0] * one[1] / one[2] ** 2, other[0] * other[1] / other[2] ** 2, rtol=1e-4)
    assert abs(float(one[0] / one[1]) - float(other[1] / other[0])) > 1e-3


# Word vectors.


def test_vectors_of_words(tmp_path, capsys):
    """Words in the same company are near each other; the file is what ``config.model.vectors`` reads."""
    rng = np.random.default_rng(0)
    animals, things = ["cat", "dog", "cow"], ["car", "bus", "van"]
    lines = ["text\tlabel"]
    for _ in range(400):
        kind, tail = (animals, "eats some grass") if rng.random() < 0.5 else (things, "drives down roads")
        lines.append(f"the {rng.choice(kind)} {tail}\t{len(lines) % 2}")
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "vectors.txt"
    vectors.main(
        [
            f"--source=files(train='{tmp_path}/train.tsv', validation='{tmp_path}/train.tsv')",
            f"--out={out}",
            "--dim=4",
            "--words=50",
        ]
    )
    assert "wrote 13 vectors of 4" in capsys.readouterr().out
    words = ["", "", *animals, *things]
    matrix, found = attention.data.vectors.load_vectors(out, words)
    assert found[2:].all()
    near = lambda a, b: matrix[a] @ matrix[b] / np.linalg.norm(matrix[a]) / np.linalg.norm(matrix[b])
    assert min(near(2, 3), near(2, 4), near(5, 6)) > 0.9 > 0.5 > max(near(2, 5), near(3, 7))


def test_counts_of_neighbours():
    """By hand: each pair within the window once from either side, never across texts, padding or the unknown."""
    found = vectors.counts([np.array([2, 3, 2]), np.array([3, 1, 2])], 4)
    np.testing.assert_array_equal(found, [[0] * 4, [0] * 4, [0, 0, 2, 3], [0, 0, 3, 0]])
