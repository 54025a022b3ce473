"""What bottlemux needs of a machine, checked one by one, each with the command that mends it.

A check reads a fact of the machine and hands it to a pure function that judges it; the judges are what tests call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle.checks import engines, files, kernel, network, programs, terminal
from bottlemux.lifecycle.checks.model import Check, Level, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bottlemux.lifecycle.context import Context

__all__ = ["Check", "Level", "run_checks", "worst"]

_CHECKS: dict[str, Callable[[Context], Iterable[Check]]] = {
    "python": programs.check_python,
    "tmux": terminal.check_tmux,
    "tmux options": terminal.check_options,
    "locale": terminal.check_locale,
    "terminal": terminal.check_terminal,
    "user namespaces": kernel.check_user_namespaces,
    "backends": engines.check_backends,
    "limits": kernel.check_limits,
    "kvm": kernel.check_kvm,
    "directories": files.check_directories,
    "settings": files.check_settings,
    "manifests": files.check_manifests,
    "sockets": files.check_sockets,
    "claude code": programs.check_claude,
    "other agents": programs.check_others,
    "authorities": network.check_authorities,
    "proxy": network.check_proxy,
}


def run_checks(context: Context) -> list[Check]:
    """Return every finding about this machine; a check that itself fails is a finding, not an error."""
    found: list[Check] = []
    for name, check in _CHECKS.items():
        try:
            found += check(context)
        except BottlemuxError as error:
            found.append(Check(name, "error", error.message, error.hint))
        except OSError as error:
            found.append(Check(name, "error", str(error), "see to it that this can be read"))
    return found
