"""The oracle group: read only when asked for, so that nothing else needs its packages."""

from collections import defaultdict

import pytest


def pytest_ignore_collect(collection_path, config):
    wanted = config.getoption("markexpr")
    return None if "oracle" in wanted.replace("not oracle", "") else True


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter):
    """A line per method and oracle: the largest differences of the value and of the gradient."""
    lines = defaultdict(list)
    for report in terminalreporter.stats.get("passed", []):
        for name, row in report.user_properties:
            if name == "oracle":
                lines[tuple(row[:2])].append(row[2:])
    if lines:
        terminalreporter.write_sep("=", "largest differences, of 1 or of the largest entry: value, gradient")
    for (kind, method), found in sorted(lines.items()):
        for i, (oracle, value, gradient) in enumerate(sorted(found)):
            last = "-" if gradient is None else f"{gradient:.0e}"
            terminalreporter.write_line(f"{'' if i else f'{kind} {method}':26} {oracle:58} {value:6.0e} {last:>6}")
