"""What is made of the same figure from several rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A median, and the range it lies in."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure | None":
        """None if there are no values."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values), len(values))

    def shown(self, digits: int) -> str:
        """`5.02 (4.90–5.31)`; without a range if there was one round only."""
        median = f"{self.median:,.{digits}f}"
        if self.rounds == 1:
            return median
        return f"{median} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


def ratio(figure: Figure | None, to: Figure | None) -> float | None:
    """That of the medians; None if there is nothing to divide, or nothing to divide by."""
    if figure is None or to is None or to.median == 0:
        return None
    return figure.median / to.median
