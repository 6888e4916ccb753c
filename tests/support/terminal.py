"""Programs on a terminal of their own."""

import os
import pty
import re
import subprocess
import sys


def printed_on_terminal(program: str, columns: int) -> tuple[bytes, list[str]]:
    """What a Python program prints on a terminal that is so wide: all of it, and its lines without what moves the cursor."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        printed = b""
        try:
            while block := os.read(leader, 65536):
                printed += block
        except OSError:  # the other end is closed
            pass
    os.close(leader)
    assert process.returncode == 0, printed.decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed.decode())
    return printed, [line.strip() for line in re.split(r"[\r\n]+", plain)]
