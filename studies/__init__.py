"""Programs that train what a page of ``docs/`` reports: ``python -m studies.tutorials``."""
