"""Having the process of which sidecars, starts and palettes are forks, before somebody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context


def warm_up(context: Context) -> None:
    """Let that process begin to load, unless it runs, or we are a fork of it. Takes a moment only."""
    from contextlib import suppress

    from bottlemux.files import make_private_dir, require_private
    from bottlemux.preload import PRELOADED
    from sidecars import zygote_names, zygotes

    if not zygote_names.serves(context.paths.runtime):
        with suppress(OSError):  # the launch that needs it will say what is wrong with it
            zygotes.connect(require_private(make_private_dir(context.paths.runtime)), PRELOADED).close()
