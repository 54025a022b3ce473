"""Where the data files that come with bottlemux are, in an installed wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path

from bottlemux.errors import UnavailableError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """Return the directory of shipped data ``name`` (``docs``, ``images``, ``layouts``).

    :class:`UnavailableError` if the installation lacks it.
    """
    candidates = [_PACKAGE / "_data" / name]
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        candidates.append(_PACKAGE.parent / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise UnavailableError(f"this installation of bottlemux lacks its {name!r} data", hint="install it again")


def layouts_dir() -> Path:
    """Return the directory of the shipped layouts, ``NAME.yaml``."""
    return data_dir("layouts")


def images_dir() -> Path:
    """Return the directory of the shipped image sources, a directory an image."""
    return data_dir("images")
