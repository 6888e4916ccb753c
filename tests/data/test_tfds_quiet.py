"""TFDS is kept quiet by what is of the whole process, which cohorts on several devices share."""

import sys
import threading

from attention.data.sources import _tfds_cache


def test_threads_that_read_at_the_same_time_leave_stdout_as_it_was():
    before, inside, outside = sys.stdout, threading.Event(), threading.Event()

    def other():
        with _tfds_cache.quiet():
            inside.set()
            outside.wait(10)

    thread = threading.Thread(target=other)
    with _tfds_cache.quiet():
        thread.start()
        inside.wait(0.5)  # it has to wait
    outside.set()
    thread.join()
    after, sys.stdout = sys.stdout, before
    assert after is before


def test_only_the_thread_that_reads_is_quiet(capsys):
    with _tfds_cache.quiet():
        print("drawn by TFDS")
        thread = threading.Thread(target=print, args=("said by another cohort",))
        thread.start()
        thread.join()
    print("said")
    assert capsys.readouterr().out == "said by another cohort\nsaid\n"
