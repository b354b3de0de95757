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
        """`5.02 (4.90–5.31)`; without a range if all rounds show the same."""
        median, least, most = (
            f"{value:,.{digits}f}" for value in (self.median, self.least, self.most)
        )
        return median if least == most else f"{median} ({least}–{most})"


def ratio(figure: Figure | None, to: Figure | None) -> float | None:
    """That of the medians; None if there is nothing to divide, or nothing to divide by."""
    if figure is None or to is None or to.median == 0:
        return None
    return figure.median / to.median
