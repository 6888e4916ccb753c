"""Trackers and data sets of others, as they are: read with ``-m plug`` alone, with requirements-plugs.txt."""
