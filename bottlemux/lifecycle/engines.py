"""Which programs of the operator's take the roles of engines, decided before anything is made."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from bottlemux.errors import UnavailableError
from bottlemux.manifest.config import load_config

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context

BUILTIN = "builtin"


def pipelock_binary(context: Context) -> str:
    """Return ``builtin``, or the absolute path of the pipelock that ``config.toml`` names.

    With ``auto`` that is the one on the operator's PATH, if any. Raises ``UnavailableError`` for a path that is no
    program: every request would be refused.
    """
    chosen = load_config(context.paths).engines.pipelock
    if chosen == "auto":
        found = shutil.which("pipelock", path=_search_path(context))
        return os.path.abspath(found) if found else BUILTIN  # noqa: PTH100 - links stay as they are
    return _checked(context, "pipelock", chosen)


def gitleaks_binary(context: Context) -> str:
    """Return ``builtin``, or the absolute path of the gitleaks that scans pushes, as :func:`pipelock_binary`."""
    chosen = load_config(context.paths).engines.gitleaks
    if chosen == "auto":
        from sidecars.scan.gitleaks import find_binary

        return str(find_binary(_search_path(context)) or BUILTIN)
    return _checked(context, "gitleaks", chosen)


def _search_path(context: Context) -> str:
    return context.environ.get("PATH", os.defpath)


def _checked(context: Context, name: str, chosen: str) -> str:
    if chosen != BUILTIN and shutil.which(chosen) is None:
        raise UnavailableError(
            f"the {name} engine {chosen!r} is not an executable file",
            hint=f'install it, or write {name} = "builtin" under [engines] in {context.paths.config_file}',
        )
    return chosen
