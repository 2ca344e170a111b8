"""The program that the demo's emulator is: moto's server on loopback, in a process of its own.

Run as a program. It prints its port, and ends when its standard input does: so it never outlives the demo, however
hard that was killed.
"""

from __future__ import annotations

import logging
import sys

from moto.server import ThreadedMotoServer


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request takes a tenth of its time
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)  # noqa: T201 - the parent reads it
    sys.stdin.buffer.read()
    server.stop()


if __name__ == "__main__":
    main()
