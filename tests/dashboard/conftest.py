"""The palette's private world, with requests of agents in it, and a dashboard to type into."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from bottlemux.approvals.finding import store_of
from bottlemux.dashboard.app import Dashboard
from sidecars.egress.routes import RouteSet
from sidecars.supervise.proposal import Proposal
from tests.palette.conftest import (  # noqa: F401 - fixtures
    OWN,
    Screen,
    context,
    environ,
    living,
    make_bottle,
    screen,
    socket_name,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from prompt_toolkit.input import PipeInput

    from bottlemux.lifecycle.context import Context


@pytest.fixture
def ask(context: Context) -> Callable[..., Proposal]:  # noqa: F811
    """Return what has a bottle's agent ask for a route."""

    def make(slug: str, host: str = "new.example.com", reason: str = "the task needs it") -> Proposal:
        request = {"host": host, "port": 443, "scheme": "https", "methods": ["GET"]}
        time.sleep(0.002)  # their order is that of the milliseconds in which they were made
        proposal = Proposal(slug, "egress", request, reason)
        store_of(context.paths, slug).save(proposal)
        return proposal

    return make


def routes(context: Context, slug: str) -> list[str]:  # noqa: F811
    try:
        return [route.host for route in RouteSet.load(context.paths.bottle(slug).routes).routes]
    except FileNotFoundError:
        return []


def state(context: Context, proposal: Proposal) -> Proposal:  # noqa: F811
    return store_of(context.paths, proposal.slug).load(proposal.id)


def audit(context: Context, slug: str) -> list[dict[str, Any]]:  # noqa: F811
    return [json.loads(line) for line in context.paths.bottle(slug).audit.read_text().splitlines()]


class _Output(DummyOutput):
    """Draws nowhere, at a certain size."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def get_size(self) -> Size:
        return Size(rows=self.size[1], columns=self.size[0])


class Typist:
    """Types into a dashboard and waits for what it leads to."""

    def __init__(self, dashboard: Dashboard, keyboard: PipeInput) -> None:
        self.dashboard, self._keyboard = dashboard, keyboard
        self.desk = dashboard.desk

    def type(self, *keys: str) -> None:
        for key in keys:
            self._keyboard.send_text(key)

    def sees(self, condition: Callable[[], object]) -> None:
        until(condition, self.describe)

    def sees_bottles(self, *slugs: str) -> None:
        self.sees(lambda: [row.slug for row in self.desk.board.shown] == list(slugs))

    def sees_notice(self, text: str) -> None:
        self.sees(lambda: text in str(self.desk.notices.latest))

    def sees_page(self, text: str) -> None:
        self.sees(lambda: self.desk.page is not None and text in "\n".join(self.desk.page.lines))

    def sees_whole(self, proposal: Proposal) -> None:
        """Wait until the screen has shown all of what is asked for, for long enough to be read."""
        self.sees(lambda: f"proposal {proposal.id}" in self.desk.asked_read)

    def selects(self, slug: str) -> None:
        self.sees(lambda: self.desk.board.selected == slug)

    def describe(self) -> str:
        desk = self.desk
        shown = [(row.slug, row.status.state, len(row.asks)) for row in desk.board.shown]
        return f"{shown} {desk.board.selected} {desk.page} {desk.line} {desk.notices} {desk.asked_whole}"


@contextlib.contextmanager
def opened(
    context: Context,  # noqa: F811
    *,
    resident: bool = False,
    size: tuple[int, int] = (100, 40),
) -> Generator[Typist]:
    """Run a dashboard in a thread of its own; at the end it must have been left, or is made to leave."""
    with create_pipe_input() as keyboard:
        dashboard = Dashboard(
            context, resident=resident, terminal_input=keyboard, terminal_output=_Output(size)
        )
        ended: list[object] = []
        thread = threading.Thread(target=lambda: ended.append(dashboard.run()), daemon=True)
        thread.start()
        until(lambda: dashboard.app.is_running)
        try:
            yield Typist(dashboard, keyboard)
        finally:
            if thread.is_alive():
                dashboard.loop.call_soon_threadsafe(dashboard.app.exit)
            thread.join(10)
        assert ended
