"""The laboratory: ablation sweeps, and what their results can and cannot say."""
