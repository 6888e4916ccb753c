"""Evidence of the recurrence that attends to the source."""

import numpy as np

from tests.support.decoders import WIDTH, softmax, witness
from tests.support.evidence import DecoderCase, DecoderEvidence
from tests.support.row import Row


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell(x, state, W, R, b):
    i, f, g, o = np.split(x @ W + state[0] @ R + b, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_cell(x, state, W, R, b):
    (xr, xz, xn), (hr, hz, hn) = np.split(x @ W + b, 3), np.split(state[0] @ R, 3)
    z = sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * state[0],)


def reference(cell, carries):
    """Bahdanau et al. 2014: the weights of step i are of the state after step i - 1."""

    def apply(source, rows, params):
        score = params["score_0"]
        query, key, vector, bias = (np.squeeze(score[name], 0) for name in ("query", "key", "vector", "bias"))
        h = np.tanh(source[0] @ params["start"]["kernel"] + params["start"]["bias"])
        state, found, weights = (h, *[np.zeros_like(h)] * (carries - 1)), [], []
        for y in rows:
            energies = np.array([vector @ np.tanh(state[0] @ query + bias + h @ key) for h in source])
            weights.append(softmax(energies))
            context = sum(a * h for a, h in zip(weights[-1], source))
            into = np.concatenate([y, context])
            state = cell(into, state, params["kernel"], params["recurrent"], params["bias"])
            deep = np.concatenate([state[0], into]) @ params["output"]["kernel"] + params["output"]["bias"]
            found.append(np.tanh(deep))
        return np.array(found), np.array(weights)

    return apply


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(kind):
        def apply(y, source, params):
            score = {name: leaf[0] for name, leaf in params["score_0"].items()}
            linear = lambda name, x: F.linear(x, params[name]["kernel"].T, params[name]["bias"])
            weights = {"weight_ih": params["kernel"].T, "weight_hh": params["recurrent"].T, "bias_ih": params["bias"]}
            weights["bias_hh"] = torch.zeros_like(params["bias"])
            h = torch.tanh(linear("start", source[0]))
            c, found = torch.zeros_like(h), []
            for row in y:
                energies = torch.tanh(h @ score["query"] + score["bias"] + source @ score["key"]) @ score["vector"]
                into = torch.cat([row, torch.softmax(energies, 0) @ source])
                cell = kind(len(into), WIDTH).double()
                if kind is torch.nn.LSTMCell:
                    h, c = torch.func.functional_call(cell, weights, (into, (h, c)))
                else:
                    h = torch.func.functional_call(cell, weights, (into, h))
                found.append(torch.tanh(linear("output", torch.cat([h, into]))))
            return torch.stack(found)

        return apply

    return {
        "torch.nn.LSTMCell, additive attention": witness("recurrent", theirs(torch.nn.LSTMCell), "additive"),
        "torch.nn.GRUCell, additive attention": witness("recurrent(cell=gru)", theirs(torch.nn.GRUCell), "additive"),
    }


LSTM = {"encoder": "bilstm", "encoding": "none", "decoder": "recurrent", "score": "additive"}
GRU = LSTM | {"encoder": "bigru(hidden=3)", "decoder": "recurrent(cell=gru)"}
DOT = LSTM | {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "score": "scaled_dot"}
CASES = (
    DecoderCase("recurrent", LSTM, reference(lstm_cell, 2)),
    DecoderCase("recurrent, gru", GRU, reference(gru_cell, 1)),
    DecoderCase("recurrent, dot", DOT),
)
REFUSED = (
    (LSTM | {"mixer": "attention(heads=2)"}, r"encoder=bilstm with mixer=attention\(heads=2\): it uses no mixer"),
    (LSTM | {"encoding": "rope", "score": "scaled_dot"}, "encoder=bilstm with encoding=rope"),
    (LSTM | {"normalizer": "differential"}, "normalizer=differential joins heads, and the recurrent decoder has one"),
    (LSTM | {"dim": 7}, "each direction has half of the model's channels, got 7"),
)
ERRORS = {"recurrent(cell=gru, forget_bias=2)": "forget_bias is for cell='lstm', got cell='gru'"}
ROW = Row("recurrent", {"cell": "gru", "forget_bias": "0"}, DecoderEvidence(CASES, oracles, REFUSED, ERRORS))
