"""A palette made and drawn before anybody asked for one, in the process whose forks will show it.

Nine tenths of the time to first paint is the making of what is the same every time.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.actions.model import Seat
    from bottlemux.lifecycle.context import Context
    from bottlemux.palette.app import Palette

_NOWHERE = Path("/nonexistent")
_ready: list[Palette] = []


def preload() -> None:
    """Make a palette about nothing, and draw it where nobody sees it."""
    from prompt_toolkit.input import DummyInput
    from prompt_toolkit.output import DummyOutput

    from bottlemux.lifecycle.context import Context
    from bottlemux.palette.app import Palette
    from bottlemux.palette.facts import Facts
    from bottlemux.paths import Paths

    nothing = Context(Paths(_NOWHERE, _NOWHERE, _NOWHERE), {}, _NOWHERE)
    palette = Palette(nothing, lambda _slug: (), terminal_input=DummyInput(), terminal_output=DummyOutput())
    palette.flow.know(Facts(agents=("demo",), layouts={"default": "shipped"}, alive={"demo-00000": True}))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_draw(palette))
    loop.close()
    _ready[:] = [palette]


async def _draw(palette: Palette) -> None:
    from prompt_toolkit.application.current import set_app

    with set_app(palette.app):
        palette.app.renderer.render(palette.app, palette.app.layout)
    # The empty history of what is typed is read by a task, which is to end with this loop.
    await asyncio.sleep(0)


def take(context: Context, go_argv: Callable[[str | None], Sequence[str]], seat: Seat | None) -> Palette:
    """Return a palette for this process's terminal: the one that was rehearsed, else a new one."""
    if not _ready:
        from bottlemux.palette.app import Palette

        return Palette(context, go_argv, seat=seat)
    palette = _ready.pop()
    palette.take(context, go_argv, seat)
    return palette
