"""The server that docs/serving.md shows, asked by many, late and in part; the page itself asks the rest."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.serving import PAGE, server_of


@pytest.fixture
def port():
    """Of a server that is less patient than the one of the page."""
    names = {"__name__": "server"}
    exec(server_of(PAGE.read_text(encoding="utf-8")), names)
    handler = type("Handler", (names["Handler"],), {"timeout": 0.5, "log_message": lambda *_: None})
    answer = lambda texts: {"labels": [text.upper() for text in texts]}
    with names["make_server"]("localhost", 0, names["app"](answer), names["Server"], handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


def sent(port, length, body):
    """Status and error of a request that says its length, and stays open."""
    with socket.create_connection(("localhost", port), timeout=60) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n" + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, json.loads(response.read())["error"]


@pytest.mark.parametrize(
    ("length", "wanted"),
    [
        (b"500", (408, "500 bytes did not come in time")),
        (b"99999999999999", (400, "a request says how many bytes it has, at most 1048576")),
        (b"-3", (400, "a request says how many bytes it has, at most 1048576")),
        (b"many", (400, "invalid literal for int() with base 10: 'many'")),
    ],
)
def test_what_is_not_all_there_is_one_line(port, length, wanted, capfd):
    assert sent(port, length, b"{") == wanted
    assert capfd.readouterr() == ("", "")


def test_many_at_once_are_answered(port):
    def ask(number):
        connection = http.client.HTTPConnection("localhost", port, timeout=60)
        connection.request("POST", "/", json.dumps({"texts": [f"text {number}"]}))
        return json.loads(connection.getresponse().read())["labels"]

    with ThreadPoolExecutor(100) as clients:
        assert list(clients.map(ask, range(100))) == [[f"TEXT {number}"] for number in range(100)]
