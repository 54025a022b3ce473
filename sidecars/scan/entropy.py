"""Shannon entropy, the measure of how random a string looks."""

from __future__ import annotations

import math
from collections import Counter


def shannon(data: bytes) -> float:
    """Return the entropy of ``data`` in bits a byte: 0 for none or one repeated, 8 at most."""
    total = len(data)
    return -sum(count / total * math.log2(count / total) for count in Counter(data).values()) + 0.0
