"""Damaged runs, mutated files and mangled command lines: what comes back is right, or it is one line.

``python -m tests.fuzz --seconds=60 --seed=1`` goes on for as long as it is told; the suite takes the first cases of seed 0.
"""
