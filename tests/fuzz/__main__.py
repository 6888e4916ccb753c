"""A longer fuzz by hand: ``python -m tests.fuzz --seconds=600 --seed=1 [--only=runs] [--case=17]``."""

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

from tests.fuzz import campaign, targets


def main() -> int:
    """Prints counts for each target and a line for each fault; the exit code is 1 where there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(targets.TARGETS))
    parser.add_argument("--case", type=int, help="this one alone, to see a fault again")
    asked = parser.parse_args()
    names = [asked.only] if asked.only else list(targets.TARGETS)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ATTENTION_CACHE_DIR"] = str(Path(folder) / "cache")
        for name in names:
            (where := Path(folder) / name).mkdir()
            target = targets.TARGETS[name](where)
            numbers = itertools.count() if asked.case is None else iter([asked.case])
            until = time.monotonic() + asked.seconds / len(names)
            outcome = campaign.run(name, target, seed=asked.seed, numbers=numbers, until=until)
            ends = ", ".join(f"{end} {count}" for end, count in sorted(outcome.counts.items()))
            print(f"{name}: {sum(outcome.counts.values())} cases: {ends}", flush=True)
            found += outcome.found
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
