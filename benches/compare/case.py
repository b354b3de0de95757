"""What is asked of a run."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Case:
    """One run of the load client."""

    clients: int
    # That are fed; none: the feed is silent.
    lines: int | None = None
    # Further options of the load client.
    load: str = ""
    label: str = ""
    # Of our server.
    shards: int = 1
    # How many more clients connect meanwhile.
    comers: int = 0

    def scaled(self, part: float) -> "Case":
        """With only a part of the clients and lines, but with some."""
        return replace(
            self,
            clients=max(min(self.clients, 2), int(self.clients * part)),
            comers=max(min(self.comers, 2), int(self.comers * part)),
            lines=self.lines and max(10, int(self.lines * part)),
        )
