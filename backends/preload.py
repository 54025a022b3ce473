"""What launching a bottle needs, loaded in the process that will be forked for it."""

from __future__ import annotations

from importlib import import_module

_NEEDED_TO_LAUNCH = ("backends.bubblewrap.launcher", "backends.bubblewrap.plan")


def preload() -> None:
    """Import, compile and ask beforehand what is the same for every bottle."""
    from backends.bubblewrap import places, tool
    from bottlemux.errors import BottlemuxError

    for name in _NEEDED_TO_LAUNCH:
        import_module(name)
    places.own_code()
    try:
        tool.version(*tool.find())
    except BottlemuxError:
        return
