"""The table of the normalizers: one row per variant, and per option that changes what it does."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tests.support.reference_normalizers as r

# Golden weights of the row Z, and gradients for the upstream G, computed apart from this project.
Z = np.array([1.0, 2.0, 0.5, -1.0, 1.8])
G = np.array([1.0, 2.0, 3.0, 4.0, 5.0])

HEADS, HEAD_DIM, LONGEST = 4, 8, 48  # of the tests' Dims
OFFSET = 2  # positions of queries start here, those of keys at 0


class Row(NamedTuple):
    """What a test knows of a variant.

    Attributes:
      spec: its spec.
      maps: the reference (`reference_normalizers`).
      golden: weights of Z by the public function, and the options it takes, or None.
      gradient: of Z for the upstream G, or None.
      count: parameters per layer.
      monotone: whether a larger score of a row has no smaller weight.
      near: scores up to this size have exact zeros only where the record says so.
      order: whether the order of the keys matters.
      straight: whether the gradient is deliberately that of another reference.
    """

    spec: str
    maps: Callable[..., Any]
    golden: tuple[list[float], dict[str, Any]] | None = None
    gradient: list[float] | None = None
    count: int = 0
    monotone: bool = True
    near: float = 5.0
    order: bool = False
    straight: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """The variant."""
        return self.spec.split("(")[0]


def _row(spec: str, function: Callable[..., Any], *golden: float, options: dict[str, Any] | None = None, **rest: Any) -> Row:
    options = options or {}
    maps = r.by_row(functools.partial(function, **options), **rest.pop("of", {}))
    return Row(spec, maps, (list(golden), rest.pop("call", options)) if golden else None, **rest)


def _exp(name: str) -> Callable[..., float]:
    return lambda own, n: math.exp(own[name][n])


def _own(name: str) -> Callable[..., float]:
    return lambda own, n: own[name][n]


def _alpha(own, n):
    return 1 + 1 / (1 + math.exp(-own["alpha_logit"][n]))


SOFTMAX = (0.14957322, 0.40658217, 0.09072075, 0.02024253, 0.33288133)
ENTMAX15 = (0.05541910, 0.54083171, 0, 0, 0.40374919)

ROWS = [
    _row("softmax", r.softmax, *SOFTMAX),
    _row("softmax(temperature=2)", r.softmax, options={"temperature": 2.0}),
    _row("softmax(temperature=learned)", r.softmax, of={"temperature": _exp("log_temperature")}, count=HEADS),
    _row("log_softmax", r.log_softmax),
    _row("sum_norm", r.sum_norm, 0.23255814, 0.46511628, 0.11627907, -0.23255814, 0.41860465, monotone=False),
    _row("sum_norm(form=absolute)", r.sum_norm, options={"form": "absolute"}),
    _row("sparsemax", r.sparsemax, 0, 0.6, 0, 0, 0.4, gradient=[0, -1.5, 0, 0, 1.5]),
    _row("sparsemax(temperature=learned)", r.sparsemax, of={"temperature": _exp("log_temperature")}, count=HEADS),
    _row("entmax15", r.entmax15, *ENTMAX15, gradient=[-0.48029, -0.76498, 0, 0, 1.24528]),
    _row("entmax15(temperature=0.5)", r.entmax15, options={"temperature": 0.5}),
    _row("entmax", r.entmax, *ENTMAX15, options={"alpha": 1.5}, gradient=[-0.48029, -0.76498, 0, 0, 1.24528]),
    _row("entmax(alpha=1.25)", r.entmax, 0.11304829, 0.47424126, 0.04280303, 0.00004065, 0.36986677, options={"alpha": 1.25}),
    _row("entmax(alpha=1.75)", r.entmax, 0, 0.58396502, 0, 0, 0.41603498, options={"alpha": 1.75}),
    _row("entmax(alpha=2.5)", r.entmax, 0, 0.64190503, 0, 0, 0.35809497, options={"alpha": 2.5}),
    _row("entmax(alpha=learned)", r.entmax, of={"alpha": _alpha}, count=HEADS),
    _row("normmax", r.normmax, 0, 0.57142857, 0, 0, 0.42857143),
    _row("normmax(alpha=1.5)", r.normmax, options={"alpha": 1.5}),
    _row("budget", r.budget, 0.1, 1, 0, 0, 0.9),
    _row("budget(k=1.5)", r.budget, options={"k": 1.5}),
    _row("sigmoid", r.sigmoid, 0.35218743, 0.59641800, 0.24797569, 0.06853348, 0.54749688),
    _row("sigmoid(bias=-1)", r.sigmoid, options={"bias": -1.0}),
    _row("sigmoid(bias=learned, temperature=learned)", r.sigmoid, count=2 * HEADS,
         of={"bias": _own("bias"), "temperature": _exp("log_temperature")}),
    _row("pointwise", r.pointwise, 0.2, 0.4, 0.1, 0, 0.36),
    _row("pointwise(activation=relu2, power=2)", r.pointwise, 0.04, 0.16, 0.01, 0, 0.1296,
         options={"activation": "relu2", "power": 2.0}),
    _row("pointwise(activation=gelu, power=0)", r.pointwise, options={"activation": "gelu", "power": 0.0}, monotone=False),
    _row("pointwise(activation=softplus)", r.pointwise, options={"activation": "softplus"}),
    _row("pointwise(activation=sigmoid, power=0.5)", r.pointwise, options={"activation": "sigmoid", "power": 0.5}),
    _row("pointwise(activation=identity)", r.pointwise, options={"activation": "identity"}),
    _row("pointwise(activation=relu6)", r.pointwise, options={"activation": "relu6"}),
    _row("laplace", r.laplace, 0.85043001, 0.99999771, 0.23142122, 0.00000000, 0.99994651, near=1.0),
    _row("softmax1", r.softmax1, 0.14177222, 0.38537684, 0.08598920, 0.01918678, 0.31551987),
    _row("sink", r.sink, of={"logit": _own("logit")}, count=HEADS),
    _row("ssmax", r.ssmax, 0.17557889, 0.35077562, 0.12422064, 0.04399042, 0.30543443,
         call={"kappa": 0.43}, of={"kappa": _own("kappa")}, count=HEADS),
    _row("ssmax(bias=True)", r.ssmax, of={"kappa": _own("kappa"), "bias": _own("bias")}, count=2 * HEADS),
    _row("ssmax(kappa=0.43)", r.ssmax, options={"kappa": 0.43}),
    _row("log_length", r.log_length, options={"length": LONGEST}),
    _row("log_length(train_length=8)", r.log_length, options={"length": 8}),
    _row("gumbel(temperature=0.5)", r.softmax, options={"temperature": 0.5}),
    _row("gumbel(hard=True)", r.hard, straight=r.by_row(r.softmax)),
    _row("hard", r.hard, 0, 1, 0, 0, 0, straight=r.by_row(r.softmax)),
    _row("topk(k=3)", r.topk, options={"k": 3}),
    _row("taylor", r.taylor, 0.17799929, 0.35599858, 0.11569954, 0.03559986, 0.31470274, monotone=False),
    _row("taylor(order=4)", r.taylor, options={"order": 4}, monotone=False),
    _row("clipped", r.clipped, 0.12406042, 0.38877964, 0.06344237, 0, 0.31286777),
    _row("clipped(gamma=None, alpha=0.5, zeta=1.1)", r.clipped, options={"gamma": None, "alpha": 0.5, "zeta": 1.1}),
    _row("softpick", r.softpick, 0.11901249, 0.44252199, 0.04493206, 0, 0.34975120),
    _row("cog", r.cog),
    _row("spherical", r.spherical, monotone=False),
    _row("l1_positive", r.l1_positive),
    _row("l1_positive(map=relu)", r.l1_positive, options={"map": "relu"}),
    _row("l1_positive(map=elu1)", r.l1_positive, options={"map": "elu1"}),
    _row("adaptive_temp", r.adaptive_temp),
    _row("softcap(cap=2, inner=sparsemax(temperature=learned))", r.softcapped, options={"cap": 2.0}, count=HEADS,
         of={"inner": lambda own, n: functools.partial(r.sparsemax, temperature=_exp("log_temperature")(own["inner"], n))}),
    _row("softcap(cap=5)", r.softcapped, options={"cap": 5.0, "inner": r.softmax}),
    _row("qk_norm(form=l2_scale)", r.softmax, count=1),
    _row("qk_norm(form=l2_fixed, inner=sigmoid)", r.sigmoid),
    _row("qk_norm(form=l2_head_clamp)", r.softmax, count=HEADS),
    _row("qk_norm(form=rms_head)", r.softmax, count=2 * HEAD_DIM),
    _row("qk_norm(form=rms_full)", r.softmax, count=(HEADS + 2) * HEAD_DIM),
    _row("qk_norm(form=layernorm)", r.softmax, count=2 * HEAD_DIM),
    _row("pos_temp(floor=2, inner=sparsemax)", r.sparsemax),
    _row("rela", r.pointwise, options={"activation": "relu", "power": 0.0}, count=2 * HEADS * HEAD_DIM),
    Row("sinkhorn", r.sinkhorn, monotone=False),
    Row("sinkhorn(iterations=1)", r.by_row(r.softmax)),
    Row("slot", r.slot, monotone=False),
    Row("double_norm", functools.partial(r.slot, epsilon=0.0), monotone=False),
    Row("stick_breaking", r.stick_breaking_maps(OFFSET, False), monotone=False, order=True,
        golden=([0.00341183, 0.03448454, 0.06454993, 0.03814963, 0.85814894], {})),
    Row("stick_breaking(remainder=self)", r.stick_breaking_maps(OFFSET, True), monotone=False, order=True),
    Row("differential", r.differential, monotone=False, count=4 * HEAD_DIM),
    Row("selective", r.selective(OFFSET), monotone=False, order=True),
]  # fmt: skip
BY_SPEC = {row.spec: row for row in ROWS}
SPECS = list(BY_SPEC)

# Every public function of scores to weights, with the options it needs; those of a whole map couple rows.
PUBLIC: dict[str, dict[str, Any]] = {row.name: row.golden[1] for row in reversed(ROWS) if row.golden is not None} | {
    "adaptive_temp": {},
    "cog": {},
    "differential": {},
    "double_norm": {},
    "gumbel": {"noise": np.zeros((), np.float32)},
    "l1_positive": {},
    "log_length": {"train_length": 8},
    "log_softmax": {},
    "sink": {"logit": 0.5},
    "sinkhorn": {},
    "slot": {},
    "spherical": {},
    "topk": {"k": 3},
}
COUPLED = ("double_norm", "sinkhorn", "slot")
# These act on queries, keys, scores or outputs, and not from scores to weights.
OTHERWISE = {"pos_temp", "qk_norm", "rela", "selective", "softcap"}
