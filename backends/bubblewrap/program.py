"""How the agent's program, which may be installed anywhere on the host, is shown to the bottle."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from backends.bubblewrap.sandbox import SYSTEM_DIRECTORIES, Mount
from backends.environment import SEARCH_PATH
from backends.presets import preset_of
from backends.programs import GUEST
from bottlemux.errors import UnavailableError

_SHIPPED = Path(__file__).parents[1] / "data"
_ELF = b"\x7fELF"


@dataclass(frozen=True)
class ProgramFiles:
    """Mounts that bring the program in, and links for ``/run/bottlemux/bin`` as name and target."""

    mounts: tuple[Mount, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def find_program(name: str) -> ProgramFiles:
    """Return how to show the program ``name``; nothing where the system directories hold it already.

    Raises ``UnavailableError`` when it is not on this machine.
    """
    found = _locate(name)
    if found is None:
        hint = preset_of([name]).install or "install it, or change 'program' in the agent's manifest"
        raise UnavailableError(f"the program {name!r} is not on this machine", hint=hint)
    real = found.resolve()
    if found.parent == _SHIPPED or not (_is_system(found) and _is_system(real)):
        return _mounted(Path(name).name, real)
    if str(found.parent) in SEARCH_PATH.split(":"):
        return ProgramFiles()
    return ProgramFiles(links=((found.name, str(found)),))


def _locate(name: str) -> Path | None:
    shipped = _SHIPPED / name
    if "/" not in name and shipped.is_file():
        return shipped
    located = shutil.which(name)
    return Path(located).absolute() if located else None


def _is_system(path: Path) -> bool:
    return any(path.is_relative_to(directory) for directory in SYSTEM_DIRECTORIES)


def _mounted(name: str, real: Path) -> ProgramFiles:
    with real.open("rb") as stream:
        is_binary = stream.read(4) == _ELF
    package = None if is_binary else _package_of(real)
    if package is None:
        return ProgramFiles(mounts=(Mount(str(real), f"{GUEST}/bin/{name}"),))
    target = f"{GUEST}/opt/{name}"
    return ProgramFiles(
        mounts=(Mount(str(package), target),), links=((name, f"{target}/{real.relative_to(package)}"),)
    )


def _package_of(script: Path) -> Path | None:
    """Return the directory of the installed Node package that ``script`` belongs to.

    Only a directory of ``node_modules`` is one: a ``package.json`` may lie in a home directory too, and all of it
    would be shown to the agent.
    """
    for parent in script.parents:
        if parent.parent.name == "node_modules" or _is_scope(parent.parent):
            return parent if (parent / "package.json").is_file() else None
    return None


def _is_scope(directory: Path) -> bool:
    return directory.name.startswith("@") and directory.parent.name == "node_modules"
