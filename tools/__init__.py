"""Programs that write what is generated: ``python -m tools.pages``, ``tools.stubs``, ``tools.new``."""
