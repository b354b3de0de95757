"""Python's `websockets` on uvloop: its broadcast() for each line of standard input.

fan_out_websockets.py PORT [CERTIFICATE KEY]
"""

import asyncio
import ssl
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

clients: set[ServerConnection] = set()


async def stay(client: ServerConnection) -> None:
    clients.add(client)
    try:
        await client.wait_closed()
    finally:
        clients.discard(client)


async def main(port: int, certificate: str = "", key: str = "") -> None:
    secured = None
    if key:
        secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secured.load_cert_chain(certificate, key)
    plain_speed = {"compression": None, "ping_interval": None, "backlog": 4096}
    async with serve(stay, "127.0.0.1", port, ssl=secured, **plain_speed):
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            broadcast(clients, line.rstrip(b"\n").decode())
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
