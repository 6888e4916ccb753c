"""Evidence of activations in place of softmax."""

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import ACTIVATIONS, pointwise
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizers as o

    def witness(name, h):
        return o.row(lambda s, w: attention.pointwise(s, w, activation=name, power=0.5), lambda z: h(z) / len(z) ** 0.5)

    return {
        "torch, relu": witness("relu", o.F.relu),
        "torch, relu2": witness("relu2", o.ACT2FN["relu2"]),
        "torch, gelu": witness("gelu", o.F.gelu),
        "torch, softplus": witness("softplus", o.F.softplus),
        "torch, sigmoid": witness("sigmoid", o.F.sigmoid),
        "torch, identity": witness("identity", lambda z: z),
        "torch, relu6": witness("relu6", o.F.relu6),
    }


def _case(activation, *golden, power=1.0, **rest):
    options = {"activation": activation, "power": power}
    return case(f"pointwise(activation={activation}, power={power})", pointwise, *golden, options=options, **rest)


CASES = (
    case("pointwise", pointwise, 0.2, 0.4, 0.1, 0, 0.36),
    _case("relu2", 0.04, 0.16, 0.01, 0, 0.1296, power=2.0),
    _case("gelu", power=0.0, monotone=False),
    _case("softplus"),
    _case("sigmoid", power=0.5),
    _case("identity"),
    _case("relu6"),
)
LAWS = {
    "sigmoid, undivided, is sigmoid attention without a bias": Law(
        lambda s, w: attention.pointwise(s, w, activation="sigmoid", power=0.0),
        lambda s, w: attention.sigmoid(s, w, bias=0.0),
    ),
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("pointwise", "pointwise, relu / n")


ROW = Row(
    "pointwise",
    {"activation": tuple(name for name in ACTIVATIONS if name != "relu"), "power": "0.5"},
    NormalizerEvidence(
        CASES,
        oracles,
        refused=(({"activation": "swish"}, "activation must be one of relu, relu2"),),
        laws=LAWS,
        errors={
            "pointwise(activation=swish)": "wants one of 'relu', 'relu2'",
            "pointwise(power=-1)": "power must be a finite number >= 0, got -1.0",
        },
        picture=picture,
    ),
)
