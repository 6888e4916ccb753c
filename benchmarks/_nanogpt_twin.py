"""A language model of nanoGPT's setting in eager PyTorch."""

import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from attention.data import batches
from attention.data.contracts import Dataset, Encoded
from benchmarks._nanogpt_setting import LAST, PEAK, WARMUP, B, D, L, N, T


class Block(nn.Module):
    """Attention and an MLP, each after a LayerNorm."""

    def __init__(self) -> None:
        """Makes the weights, as PyTorch draws them; ``Twin`` draws them anew."""
        super().__init__()
        self.before, self.between = (nn.LayerNorm(D, eps=1e-6, bias=False) for _ in range(2))
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.up, self.down = nn.Linear(D, 4 * D, bias=False), nn.Linear(4 * D, D, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B T D]`` to the same."""
        heads = lambda y: y.view(*y.shape[:2], N, D // N).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(*map(heads, self.qkv(self.before(x)).split(D, dim=2)), is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.between(x)), approximate="tanh"))


class Twin(nn.Module):
    """The model in PyTorch."""

    def __init__(self, vocabulary: int) -> None:
        """Draws the weights."""
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, D), nn.Embedding(T, D)
        self.blocks, self.norm = nn.ModuleList(Block() for _ in range(L)), nn.LayerNorm(D, eps=1e-6, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                into_stream = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (math.sqrt(2 * L) if into_stream else 1))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids ``[B T]`` to logits ``[B T V]``."""
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.words.weight.T


def twin(data: Dataset, steps: int, seed: int) -> tuple[float, float]:
    """Trains the twin on windows drawn anywhere, as nanoGPT does: nats per character of test, and seconds of training."""
    torch.manual_seed(seed)
    train = data.splits["train"]
    assert train.wanted is not None
    ids, wanted = (torch.from_numpy(np.asarray(each, np.int64)) for each in (train.flat, train.wanted))
    model = Twin(data.vocab_size)
    groups: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for weight in model.parameters():
        groups[weight.ndim > 1].append(weight)
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 0.1 * decays} for decays, weights in groups.items()], lr=PEAK, betas=(0.9, 0.99)
    )
    start = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        starts = torch.randint(len(ids) - T + 1, (B,))
        x, y = (torch.stack([each[i : i + T] for i in starts]) for each in (ids, wanted))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - start
    return score(model, data.splits["test"]), seconds


def score(model: Twin, test: Encoded) -> float:
    """Nats per character of test, in the windows that ours is scored in."""
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(test.lengths), 64):
            rows = np.arange(start, min(start + 64, len(test.lengths)))
            batch = batches.gather(test, rows, T)
            x, y = (torch.from_numpy(batch[name].astype(np.int64)) for name in ("tokens", "wanted"))
            total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=-1, reduction="sum").item()
            count += int((y >= 0).sum())
    return total / count


def rate(step: int, steps: int) -> float:
    """The learning rate of an update."""
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    share = (step - WARMUP) / (steps - WARMUP)
    return LAST + 0.5 * (PEAK - LAST) * (1 + math.cos(math.pi * share))
