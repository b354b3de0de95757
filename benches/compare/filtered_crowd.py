"""Clients that ask for one symbol each: whether each of them gets its lines, once and in order.

    filtered_crowd.py URL CLIENTS SYMBOLS FIRST LINES [CA]

prints `ready` when all are connected. A line counts if its number is one of LINES from FIRST on.
When its standard input ends it prints what it found, as one line of JSON: `lost` are lines that a
client should have got and has not, `wrong` are those that it got again, late, or for no reason.
SIGNALCAST_TOKEN opens the door.
"""

import asyncio
import base64
import json
import os
import ssl
import sys
from urllib.parse import urlsplit

from symbols import number_of, symbol

# As many may be connecting at once.
CONNECTING = 32
# How long the last lines may take.
PATIENCE_SECONDS = 2


class Crowd:
    def __init__(self, url: str, symbols: int, numbers: range, ca: str) -> None:
        self.url = urlsplit(url)
        self.symbols = symbols
        self.numbers = numbers
        self.tls = ssl.create_default_context(cafile=ca) if ca else None
        self.writers: list[asyncio.StreamWriter] = []
        self.turns = asyncio.Semaphore(CONNECTING)
        self.found = {"clients": 0, "deliveries": 0, "wrong": 0}

    def expected(self, clients: int) -> int:
        """How many lines all of them should get."""
        return sum(len(self.lines_of(client)) for client in range(clients))

    def lines_of(self, client: int) -> range:
        first = self.numbers.start
        begin = first + (client - first) % self.symbols
        return range(begin, self.numbers.stop, self.symbols)

    async def connect(self, client: int) -> asyncio.StreamReader:
        async with self.turns:
            reader, writer = await asyncio.open_connection(
                self.url.hostname, self.url.port, ssl=self.tls
            )
            writer.write(self.request(client))
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 101"):
                raise OSError(answer.split(b"\r\n")[0].decode())
            self.found["clients"] += 1
            # Whose writer is forgotten, that connection is closed.
            self.writers.append(writer)
            return reader

    def request(self, client: int) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET /?symbols={symbol(client, self.symbols)} HTTP/1.1",
            f"Host: {self.url.netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            f"Authorization: Bearer {os.environ['SIGNALCAST_TOKEN']}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    async def listen(self, client: int, reader: asyncio.StreamReader) -> None:
        lines = self.lines_of(client)
        expected = lines.start
        while True:
            number = number_of(await message(reader))
            if number not in self.numbers:
                continue
            if number in lines and number >= expected:
                self.found["deliveries"] += 1
                expected = number + self.symbols
            else:
                self.found["wrong"] += 1


async def message(reader: asyncio.StreamReader) -> bytes:
    """The payload of the next frame; pings are left unanswered, for a run is shorter than the
    server's patience."""
    header = await reader.readexactly(2)
    length = header[1]
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2))
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8))
    return await reader.readexactly(length)


async def main(url: str, clients: int, symbols: int, numbers: range, ca: str) -> None:
    crowd = Crowd(url, symbols, numbers, ca)
    readers = await asyncio.gather(*(crowd.connect(client) for client in range(clients)))
    listening = [
        asyncio.create_task(crowd.listen(client, reader))
        for client, reader in enumerate(readers)
    ]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    expected = crowd.expected(clients)
    for _ in range(PATIENCE_SECONDS * 100):
        if crowd.found["deliveries"] >= expected:
            break
        await asyncio.sleep(0.01)
    ended = sum(task.done() for task in listening)
    lost = expected - crowd.found["deliveries"]
    print(json.dumps({**crowd.found, "expected": expected, "lost": lost, "closed": ended}))
    for task in listening:
        task.cancel()
    # A connection that has ended was counted, with or without an exception.
    await asyncio.gather(*listening, return_exceptions=True)


if __name__ == "__main__":
    _, url, clients, symbols, first, lines, *ca = sys.argv
    numbers = range(int(first), int(first) + int(lines))
    asyncio.run(main(url, int(clients), int(symbols), numbers, *ca or [""]))
