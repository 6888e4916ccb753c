"""Who may attend to whom, beside padding: one file per mask; masks compose with ``&``."""

from attention.masks._intersection import combine as combine
from attention.masks._tiles import tiles as tiles
from attention.masks._tiles import within as within
