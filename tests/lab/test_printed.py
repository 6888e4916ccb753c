"""What threads print, each into a file of its own."""

from attention.lab import printed


def test_a_line_is_in_its_file_as_soon_as_it_is_printed(tmp_path):
    """So that it can be followed, and a kill loses none of what was said before it."""
    path = tmp_path / "logs" / "cohort.txt"
    with printed.by_thread() as logged, logged(path):
        print("note: a line")
        assert path.read_text(encoding="utf-8") == "note: a line\n"
