"""What an exported run takes to serve: start, answer and throughput of the server of docs/serving.md, in a process of its own.

python -m benchmarks.serving --workdir=runs/NAME [--seconds=10] [--clients=8] [--json=serving.json]

The texts are those of the run's test split, asked over HTTP. Start is from the beginning of the process to the first answer,
which waits for its program to be compiled; every size is asked for before it is timed.
"""

import argparse
import http.client
import itertools
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attention.evaluation.export import export
from attention.evaluation.trained import load
from attention.files import write_json
from attention.runs.environment import environment

PAGE = Path(__file__).parents[1] / "docs" / "serving.md"
MANY = 64  # texts of a large request, as many as the server takes
WARM = 100  # requests before it is timed


def main(argv: Sequence[str] | None = None) -> None:
    """Exports a run, starts the server, and prints what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True, help="the run")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--clients", type=int, default=8, help="who ask at once")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    options = parser.parse_args(argv)
    run = load(options.workdir)
    loaded = run.load_data()
    texts = list(loaded.texts["test" if "test" in loaded.texts else "validation"])
    with tempfile.TemporaryDirectory() as folder:
        print(export(options.workdir, f"{folder}/model.stablehlo"))
        found = _measured(Path(folder), texts, options.seconds, options.clients)
    where = environment()
    print(f"{where['device']}, {where['cores']} cores, jax {where['jax']}, load {os.getloadavg()[0]:.1f} afterwards")
    for name, value in found.items():
        print(f"{name:>32}  {value:.4g}")
    if options.json is not None:
        write_json(options.json, {"environment": where, "load": os.getloadavg()[0], **found})


def server_of(page: str) -> str:
    """The server that the page shows."""
    found = re.search(r"```python\n(# server\.py\n.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def _measured(folder: Path, texts: Sequence[str], seconds: float, clients: int) -> dict[str, float]:
    (folder / "server.py").write_text(server_of(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    begin = time.perf_counter()
    command = [sys.executable, "server.py", "model.stablehlo", str(port)]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        _wait(process, port, texts[:1])
        start = time.perf_counter() - begin
        for request in (each for count in (1, MANY) for each in itertools.islice(_requests(texts, count), WARM)):
            _ask(port, request)
        one, many = (_timed(port, _requests(texts, count), seconds) for count in (1, MANY))
        return {
            "seconds to the first answer": start,
            "ms for a text, median": 1e3 * statistics.median(one),
            "ms for a text, 95 %": 1e3 * statistics.quantiles(one, n=20)[-1],
            f"ms for {MANY} texts, median": 1e3 * statistics.median(many),
            f"texts/s, {MANY} at a time": MANY * len(many) / sum(many),
            f"texts/s, {clients} clients with one": _throughput(port, texts, seconds, clients),
        }
    finally:
        process.terminate()
        process.wait()


def _requests(texts: Sequence[str], count: int) -> Iterator[bytes]:
    endless = itertools.cycle(texts)
    return (json.dumps({"texts": list(itertools.islice(endless, count))}).encode() for _ in itertools.count())


def _wait(process: subprocess.Popen[Any], port: int, texts: Sequence[str]) -> None:
    while process.poll() is None:
        try:
            return _ask(port, next(_requests(texts, 1)))
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise SystemExit(f"the server ended with exit code {process.returncode}")


def _ask(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("localhost", port)
    connection.request("POST", "/", body)
    response = connection.getresponse()
    said = response.read()
    connection.close()
    assert response.status == 200, said


def _timed(port: int, requests: Iterator[bytes], seconds: float) -> list[float]:
    """Seconds of each request, one after another."""
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 2:
        body = next(requests)
        begin = time.perf_counter()
        _ask(port, body)
        found.append(time.perf_counter() - begin)
    return found


def _throughput(port: int, texts: Sequence[str], seconds: float, clients: int) -> float:
    """Texts per second of several clients, each with one text at a time."""
    counts: list[int] = []
    each = lambda: counts.append(len(_timed(port, _requests(texts, 1), seconds)))
    threads = [threading.Thread(target=each) for _ in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
