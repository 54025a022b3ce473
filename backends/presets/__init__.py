"""The programs bottlemux knows, a preset each. Any other argv works too, started as it is."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from backends.presets.claude import CLAUDE
from backends.presets.model import SUPERVISE_URL, Api, Preset
from backends.presets.others import OTHERS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PRESETS", "SUPERVISE_URL", "Api", "Preset", "preset_of"]

PRESETS = {preset.name: preset for preset in (CLAUDE, *OTHERS)}


def preset_of(argv: Sequence[str]) -> Preset:
    """Return the preset of the program ``argv`` starts; one without special needs when it is not known."""
    name = PurePosixPath(argv[0]).name
    return PRESETS.get(name, Preset(name=name, tested="started as it is"))
