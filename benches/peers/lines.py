"""Lines out of a stream that is read in pieces."""


class Lines:
    """Gives the whole lines of what was read; a part of one waits for its rest."""

    def __init__(self) -> None:
        self.part = b""

    def of(self, data: bytes) -> list[bytes]:
        *whole, self.part = (self.part + data).split(b"\n")
        return whole
