"""Progress, to standard error: standard output is for tables."""

import sys
import time


def tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
