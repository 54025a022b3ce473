"""Host names as a way out.

Under a wildcard the agent chooses the labels, and whoever answers for the zone reads them.
"""

from __future__ import annotations

import re

from sidecars.scan.entropy import shannon

_MOST_LABELS = 5
_LONGEST_LABEL = 50
_LONGEST_PART = 100
_RUN = re.compile(r"[a-z0-9]{18,}")
_HEX_RUN = re.compile(r"[0-9a-f]{20,}")
_MIXED_ENTROPY = 3.4
_LETTERS_ENTROPY = 3.9


def suspicious_label(host: str, wildcard: str) -> bool:
    """Say whether what ``host`` adds to ``wildcard`` (``*.example.com``) looks like data rather than a name.

    It does when its length, count of labels or randomness is beyond what services, regions and builds have.
    This slows exfiltration by names and cannot end it: common words pass, a few bytes a look-up.
    """
    suffix = wildcard.removeprefix("*").lower().rstrip(".")
    part = host.lower().rstrip(".").removesuffix(suffix).strip(".")
    labels = part.split(".") if part else []
    too_much = len(labels) > _MOST_LABELS or len(part) > _LONGEST_PART
    return too_much or any(_looks_like_data(label) for label in labels)


def _looks_like_data(label: str) -> bool:
    if len(label) > _LONGEST_LABEL or _HEX_RUN.search(label):
        return True
    return any(_is_random(run) for run in _RUN.findall(label))


def _is_random(run: str) -> bool:
    least = _LETTERS_ENTROPY if run.isalpha() else _MIXED_ENTROPY
    return shannon(run.encode()) >= least
