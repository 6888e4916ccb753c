"""Slurm and Ray as they are: read with ``-m cluster`` alone; ``bash .ci/slurm`` sets up a Slurm of one node."""
