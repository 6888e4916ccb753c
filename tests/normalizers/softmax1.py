"""Evidence of softmax with one more in the denominator."""

import math

import attention
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import ratio
from tests.support.row import Row


def softmax1(row, mask):
    return ratio(row, mask, math.exp, extra=1.0)


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    def off_by_one():
        """Queries, keys and values as they are for projections; the example without a key gives zeros there too."""
        options = {"bias": False, "add_zero_attn": True, "batch_first": True}
        module = o.torch.nn.MultiheadAttention(layers.D, layers.N, **options).double()
        o.torch.nn.init.eye_(module.out_proj.weight)
        with o.torch.no_grad():
            module.in_proj_weight.copy_(o.torch.eye(layers.D).repeat(3, 1))

        def theirs(query, key, value, where):
            found = module(*(x.flatten(2) for x in (query, key, value)), key_padding_mask=~where, need_weights=False)
            return found[0].reshape(layers.B, layers.T, layers.N, layers.H)

        return o.Witness(layers.ours_of("softmax1"), theirs, layers.inputs(heads=layers.N))

    return {
        "torch.softmax with a column of 0": o.row(
            attention.softmax1, lambda z: o.torch.softmax(o.torch.cat([z, o.torch.zeros_like(z[:1])]), -1)[:-1]
        ),
        "torch MultiheadAttention(add_zero_attn)": off_by_one(),
        "x-transformers add_zero_kv": layers.x_transformers("softmax1", add_zero_kv=True),
    }


ROW = Row(
    "softmax1",
    {},
    NormalizerEvidence((case("softmax1", softmax1, 0.14177222, 0.38537684, 0.08598920, 0.01918678, 0.31551987),), oracles),
)
