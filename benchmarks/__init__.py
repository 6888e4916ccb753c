"""Measurements, each a module: ``python -m benchmarks.kernels``. Times are ratios within one run; machines are noisy."""
