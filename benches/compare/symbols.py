"""Gives the load client's lines symbols in turn: SYM00, SYM01 … From standard input to standard
output, as soon as they come.

    symbols.py COUNT
"""

import os
import re
import sys

# The timestamp of the load client's first line.
FIRST_TIMESTAMP = 1_720_000_000
TIMESTAMP = re.compile(rb'"timestamp":(\d+)')


def number_of(line: bytes) -> int | None:
    """Which one a line is; none if it is another's."""
    found = TIMESTAMP.search(line)
    return int(found[1]) - FIRST_TIMESTAMP if found else None


def symbol(number: int, count: int) -> str:
    return f"SYM{number % count:02}"


def main(count: int) -> None:
    part = b""
    while data := os.read(0, 1 << 16):
        *lines, part = (part + data).split(b"\n")
        named = [named_after_its_number(line, count) for line in lines]
        os.write(1, b"".join(named))


def named_after_its_number(line: bytes, count: int) -> bytes:
    name = symbol(number_of(line) or 0, count).encode()
    return line.replace(b"BTCUSDT", name, 1) + b"\n"


if __name__ == "__main__":
    main(int(sys.argv[1]))
