"""What files say of themselves, read by several threads."""

import concurrent.futures
import gc
import sys
from pathlib import Path

from attention import signatures


def test_threads_read_files_at_once():
    text = Path(signatures.__file__).read_text(encoding="utf-8")

    def seen(phase, information):
        """As JAX has one: Python code in the middle of a collection, where another thread may go on."""

    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    gc.callbacks.append(seen)
    try:
        sys.setswitchinterval(1e-6)
        gc.set_threshold(100)
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            assert len(list(threads.map(signatures.syntax, [text] * 100))) == 100
    finally:
        gc.callbacks.remove(seen)
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
