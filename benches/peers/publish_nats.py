"""Publishes each line of standard input to a NATS server, on the subject `signals`.

publish_nats.py PORT
"""

import os
import socket
import sys
import threading

from connecting import connect
from lines import Lines


def main(port: int) -> None:
    with connect(port) as server:
        server.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        lines = Lines()
        while data := os.read(0, 1 << 16):
            messages = [
                b"PUB signals %d\r\n%s\r\n" % (len(line), line) for line in lines.of(data)
            ]
            server.sendall(b"".join(messages))


def answer(server: socket.socket) -> None:
    """A server that gets no PONG hangs up after some minutes."""
    while data := server.recv(1 << 16):
        if b"PING" in data:
            server.sendall(b"PONG\r\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
