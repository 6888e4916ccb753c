"""A plain transformer with T5's biases and its update in PyTorch, from weights that are given."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import attention

HEADS = 4


class Block(nn.Module):
    """Attention and an MLP, each after a LayerNorm; queries, keys and values are one product."""

    def __init__(self, dim: int, width: int) -> None:
        """Makes the layers."""
        super().__init__()
        self.before, self.between = (nn.LayerNorm(dim, eps=1e-6) for _ in range(2))
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, width), nn.Linear(width, dim)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """``[B T D]`` to the same, with a bias ``[B N T T]`` on the scores."""
        B, T, D = x.shape
        query, key, value = self.qkv(self.before(x)).view(B, T, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        x = x + self.out(mixed.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.gelu(self.up(self.between(x)), approximate="tanh"))


class Twin(nn.Module):
    """Embeddings, blocks with T5's biases, the mean over the tokens that count, and a linear layer."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        """Takes over weights of ours, a tree of NumPy arrays as ``TextClassifier`` names them."""
        super().__init__()
        encoder, table = weights["encoder"], weights["embedding"]["table"]
        blocks = [encoder[name] for name in sorted(encoder) if name.startswith("block_")]
        self.words = nn.Embedding(*table.shape)
        self.distances = nn.Embedding(*encoder["encoding"]["table"].shape)
        self.blocks = nn.ModuleList(Block(table.shape[1], block["mlp"]["in"]["bias"].size) for block in blocks)
        self.norm, self.head = nn.LayerNorm(table.shape[1], eps=1e-6), nn.Linear(table.shape[1], weights["head"]["bias"].size)
        _take(self.words.weight, table)
        _take(self.distances.weight, encoder["encoding"]["table"])
        for block, theirs in zip(self.blocks, blocks):
            _take_block(block, theirs)
        _take_norm(self.norm, encoder["norm"])
        _take_linear(self.head, weights["head"])

    def forward(self, tokens: torch.Tensor, valid: torch.Tensor, buckets: torch.Tensor) -> torch.Tensor:
        """Ids and what counts ``[B T]``, and the bucket of each distance ``[T T]``, to logits ``[B C]``."""
        bias = self.distances(buckets).permute(2, 0, 1)
        bias = bias.masked_fill(~valid[:, None, None, :], float("-inf"))
        x = self.words(tokens) * self.words.embedding_dim**0.5
        for block in self.blocks:
            x = block(x, bias)
        counts = valid[..., None].to(x.dtype)
        return self.head((self.norm(x) * counts).sum(1) / counts.sum(1))


def updates(
    weights: Mapping[str, Any], batch: Mapping[str, np.ndarray], rate: float, decay: float, clip: float, *, compiled: bool
) -> Callable[[], float]:
    """An update by AdamW on a batch, again and again: each call makes one, and returns the loss before it."""
    model = Twin(weights)
    groups: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for name, weight in model.named_parameters():
        groups[weight.ndim > 1 and "bias" not in name].append(weight)
    options = [{"params": group, "weight_decay": decay * decays} for decays, group in groups.items()]
    optimizer = torch.optim.AdamW(options, lr=rate)
    forward = torch.compile(model) if compiled else model
    relative = np.arange(batch["tokens"].shape[1])
    buckets = torch.tensor(np.asarray(attention.t5_buckets(jax.numpy.asarray(relative - relative[:, None]))))

    def update() -> float:
        tokens, labels = (torch.from_numpy(batch[name].astype(np.int64)) for name in ("tokens", "labels"))
        loss = F.cross_entropy(forward(tokens, torch.from_numpy(batch["valid"]), buckets), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss.item()

    return update


def _take(parameter: torch.Tensor, array: Any) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(np.asarray(array).reshape(parameter.shape)))


def _take_linear(layer: nn.Linear, ours: Mapping[str, Any]) -> None:
    """A kernel ``[... into ...]`` of ours is the transposed weight of theirs."""
    _take(layer.weight, np.asarray(ours["kernel"]).reshape(layer.in_features, layer.out_features).T)
    _take(layer.bias, ours["bias"])


def _take_norm(layer: nn.LayerNorm, ours: Mapping[str, Any]) -> None:
    _take(layer.weight, ours["scale"])
    _take(layer.bias, ours["bias"])


def _take_block(block: Any, ours: Mapping[str, Any]) -> None:
    side_by_side = lambda name: np.concatenate(
        [
            np.asarray(ours["mixer"][each][name]).reshape(*([block.qkv.in_features] if name == "kernel" else []), -1)
            for each in ("query", "key", "value")
        ],
        axis=-1,
    )
    _take_linear(block.qkv, {name: side_by_side(name) for name in ("kernel", "bias")})
    _take_linear(block.out, ours["mixer"]["output"])
    _take_linear(block.up, ours["mlp"]["in"])
    _take_linear(block.down, ours["mlp"]["out"])
    _take_norm(block.before, ours["mixer_norm"])
    _take_norm(block.between, ours["mlp_norm"])
