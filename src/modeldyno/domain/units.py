"""Where the wire's spelling of a quantity and the number meet."""

from __future__ import annotations

import re

_PERCENTILE = re.compile(r"P([0-9]{1,2}(?:\.[0-9]{1,3})?)", re.ASCII)


def parse_percentile(text: str) -> float | None:
    """``P95`` as 95.0, ``P99.9`` as 99.9; None when it is no percentile between 0 and 100, both excluded."""
    match = _PERCENTILE.fullmatch(text)
    value = float(match[1]) if match else 0.0
    return value if value > 0 else None
