"""Which options masks take."""


def half(window: int) -> int:
    """Half of an even window. Raises ValueError for another."""
    if window < 0 or window % 2:
        raise ValueError(f"window must be an even number >= 0, got {window}")
    return window // 2


def at_least(lowest: int, **options: int) -> None:
    """Raises ValueError for an option below ``lowest``."""
    for name, value in options.items():
        if value < lowest:
            raise ValueError(f"{name} must be >= {lowest}, got {value}")
