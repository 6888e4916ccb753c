"""Masks as the papers write them: may query i attend to key j? Nothing here knows the library."""


def dilated(i, j, window, dilation):
    return j in [i + m * dilation for m in range(-(window // 2), window // 2 + 1)]


def block_local(i, j, size, neighbours=0):
    first = i - i % size
    return first - neighbours * size <= j < first + (1 + neighbours) * size


def longformer(i, j, window, globals_):
    return i - window / 2 <= j <= i + window / 2 or i < globals_ or j < globals_


def prefix_lm(i, j, prefix):
    return j <= max(i, prefix - 1)


def strided(i, j, stride, causal=True):
    """Child et al., section 4.3: A1 = {t, ..., i} with t = max(0, i - l), A2 = {j: (i - j) mod l = 0}."""
    if causal:
        return j <= i and (j >= max(0, i - stride) or (i - j) % stride == 0)
    return strided(i, j, stride) or strided(j, i, stride)


def fixed(i, j, stride, summary, causal=True):
    """Child et al., section 4.3: A1 = {j: ⌊j/l⌋ = ⌊i/l⌋}, A2 = {j: j mod l in {t, ..., l-1}} with t = l - c."""
    sets = j // stride == i // stride or j % stride in range(stride - summary, stride)
    return sets and (j <= i or not causal)


def bigbird(i, j, last, block, chosen):
    """``chosen(a, e)``: the random blocks of keys for the block a of queries in a text that ends with block e."""
    a, b, e = i // block, j // block, last // block
    return abs(a - b) <= 1 or 0 in (a, b) or e in (a, b) or b in chosen(a, e)
