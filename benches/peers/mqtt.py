"""The few packets of MQTT 3.1.1 that a run needs."""


def remaining_length(count: int) -> bytes:
    """Seven bits a byte, the lowest first (section 2.2.3)."""
    digits = bytearray()
    while True:
        count, digit = divmod(count, 128)
        digits.append(digit | (128 if count else 0))
        if not count:
            return bytes(digits)


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + remaining_length(len(body)) + body


def text(content: str) -> bytes:
    return len(content.encode()).to_bytes(2, "big") + content.encode()


TOPIC = text("signals")

# Clean session, no keep-alive, and the server makes the name up.
CONNECT = packet(0x10, text("MQTT") + bytes([4, 2, 0, 0]) + text(""))

# Packet 1, quality of service 0.
SUBSCRIBE = packet(0x82, bytes([0, 1]) + TOPIC + bytes([0]))
