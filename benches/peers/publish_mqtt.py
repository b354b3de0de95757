"""Publishes each line of standard input to an MQTT server, on the topic `signals`, once at most
(quality of service 0).

    publish_mqtt.py PORT
"""

import os
import sys
from functools import lru_cache

from connecting import connect
from lines import Lines
from mqtt import CONNECT, TOPIC, remaining_length

PUBLISH = b"\x30"


def main(port: int) -> None:
    with connect(port) as server:
        server.sendall(CONNECT)
        accepted = server.recv(4)
        if accepted[:1] != b"\x20" or accepted[3:] != b"\x00":
            sys.exit(f"publish_mqtt: the server did not accept us: {accepted!r}")
        lines = Lines()
        while data := os.read(0, 1 << 16):
            whole = lines.of(data)
            server.sendall(b"".join([header(len(line)) + line for line in whole]))


@lru_cache
def header(length: int) -> bytes:
    """What stands before a payload of so many bytes."""
    return PUBLISH + remaining_length(len(TOPIC) + length) + TOPIC


if __name__ == "__main__":
    main(int(sys.argv[1]))
