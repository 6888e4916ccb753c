"""Evidence of a mixer alone."""

from tests.support.encoders import ATTENTION, KEY_BIAS, D, N, attend, witness
from tests.support.evidence import EncoderCase, EncoderEvidence
from tests.support.row import Row


def reference(rows, sentences, params):
    return attend(rows, params["mixer"])


def oracles():
    from tests.support.oracle_packages import torch

    def theirs(texts, params):
        """``torch.nn.MultiheadAttention`` with our weights, and nothing around it."""
        own, names = params["mixer"], ("query", "key", "value")
        weights = {
            "in_proj_weight": torch.cat([own[name]["kernel"].reshape(D, D).T for name in names]),
            "in_proj_bias": torch.cat([own[name]["bias"].reshape(D) for name in names]),
            "out_proj.weight": own["output"]["kernel"].reshape(D, D).T,
            "out_proj.bias": own["output"]["bias"],
        }
        module = torch.nn.MultiheadAttention(D, N, batch_first=True).double()
        return [torch.func.functional_call(module, weights, (rows[None],) * 3)[0][0] for rows in texts]

    return {"torch.nn.MultiheadAttention": witness("bare", theirs)}


CASE = EncoderCase("bare", reference, ATTENTION, zeros=False, dead=KEY_BIAS)
ROW = Row("bare", {}, EncoderEvidence((CASE,), oracles))
