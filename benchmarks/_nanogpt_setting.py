"""The sizes and the learning rates of nanoGPT's run on a CPU."""

L, N, D, T, B = 4, 4, 128, 64, 12
PEAK, LAST, WARMUP = 1e-3, 1e-4, 100
