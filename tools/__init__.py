"""Figures of the pages and the scripts that make them: ``python -m docs.figures.normalizers``."""
