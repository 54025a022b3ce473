"""Getting the person somewhere and back: by tmux inside it, else by lending the terminal."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.lifecycle.context import Context

_POPUP_LASTS_S = 7 * 86400.0
_SMALL = (100, 30)


class TmuxPlaces:
    """For a dashboard in the workspace's own tmux server: other windows, and popups over this one."""

    def __init__(self, context: Context, size: Callable[[], tuple[int, int]]) -> None:
        self._context, self._size = context, size

    def go(self, slug: str | None) -> None:
        """Switch the client that looks at us to the window of ``slug``."""
        self._tmux(self._context.workspace.attach_argv(slug), timeout=20.0)

    def show(self, argv: Sequence[str]) -> None:
        """Show ``argv`` in a popup until it ends."""
        small = any(have < want for have, want in zip(self._size(), _SMALL, strict=True))
        share = "100%" if small else "90%"
        # The palette says on its last line what its keys do; what is followed has no line to spare.
        title = "" if "palette" in argv else "Ctrl-C ends"
        words = [*argv, *self._client(argv)]
        popup = self._context.workspace.popup_argv(words, width=share, height=share, title=title)
        self._tmux(popup, timeout=_POPUP_LASTS_S)

    def _client(self, argv: Sequence[str]) -> list[str]:
        """Tell the palette which client to switch: from inside a popup it could only guess."""
        if "palette" not in argv:
            return []
        pane = self._context.environ.get("TMUX_PANE", "")
        server = self._context.workspace.server
        (name,) = server.batch([["display-message", "-p", "-t", pane, "#{client_name}"]])
        return ["--client", name] if name else []

    def _tmux(self, argv: Sequence[str], timeout: float) -> None:
        # tmux finds the client to work with by our own environment.
        done = run(argv, timeout=timeout, env=self._context.environ)
        if done.returncode != 0 and done.stderr:
            raise BottlemuxError(f"tmux refused: {done.stderr.decode('utf-8', 'replace').strip()}")


class TerminalPlaces:
    """For a dashboard anywhere else: it gives its terminal away and takes it back."""

    def __init__(self, context: Context, lend: Callable[[Callable[[], object]], object]) -> None:
        self._context, self._lend = context, lend

    def go(self, slug: str | None) -> None:
        """Attach to the window of ``slug`` until the person detaches."""
        self.show(self._context.workspace.attach_argv(slug))

    def show(self, argv: Sequence[str]) -> None:
        """Run ``argv`` in our terminal until it ends."""
        self._lend(lambda: subprocess.run(list(argv), env=dict(self._context.environ), check=False))


def is_inside(context: Context) -> bool:
    """Say whether we run in a pane of the workspace's tmux server."""
    return bool(os.environ.get("TMUX_PANE")) and context.workspace.server.inside()
