"""Starting a bottle, bringing it back, stopping and removing it."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backends.registry import get_bottle_backend
from bottlemux.errors import BottlemuxError, NotFoundError
from bottlemux.files import write_atomic
from bottlemux.lifecycle import conversations
from bottlemux.lifecycle.planning import Planned, plan_resume, with_identity
from bottlemux.lifecycle.windows import pane_argv, window_for
from bottlemux.session.layout import PaneLayout
from bottlemux.session.workspace import DEFAULT_SIZE
from bottlemux.state.ending import mark_stopped, unmark_stopped
from bottlemux.state.liveness import is_alive, read_status

if TYPE_CHECKING:
    from backends.contract import Bottle, BottleSpec
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowSpec
    from bottlemux.state.metadata import Metadata

_END_TIMEOUT_S = 10.0
_POLL_S = 0.01


def start(context: Context, planned: Planned) -> str:
    """Carry out a plan for a new bottle: claim an identity, launch, open the window. Return the slug.

    When any of it fails nothing is left.
    """
    record, bottle = launch(context, planned)
    try:
        _open_window(context, window_for(context, record, bottle))
    except BaseException:
        undo(context, record, bottle)
        raise
    return record.identity


def launch(context: Context, planned: Planned) -> tuple[Metadata, Bottle]:
    """Carry out a plan for a new bottle but for its window; :func:`undo` takes it back.

    When it fails nothing is left. Several may be launched at once, by threads.
    """
    spec = planned.spec
    agent = spec.resolved.agent
    record = context.store.create(
        agent.name,
        preferred=spec.identity,
        bottle=spec.resolved.bottle.name,
        backend=planned.plan.backend_name,
        cwd=spec.directory,
        workspace=spec.workspace,
        layout=planned.layout,
        args=spec.arguments,
        base_commit=_base_commit(spec),
        from_project=agent.from_project,
        agent_digest=agent.digest,
        session_id=spec.session_id,
    )
    try:
        # First of all: a start that is killed from here on can be resumed with its task.
        write_atomic(context.paths.bottle(record.identity).guest / "prompt", spec.prompt, durable=False)
        return record, planned.backend.launch(with_identity(planned, record.identity).plan)
    except BaseException:
        _discard(context, record.identity)
        raise


def undo(context: Context, record: Metadata, bottle: Bottle) -> None:
    """End a bottle that was just launched, and forget it."""
    bottle.close()
    _discard(context, record.identity)


def _discard(context: Context, identity: str) -> None:
    """Remove what a failed start leaves, once its supervisor, whose launcher is gone, has ended by itself."""
    files = context.paths.bottle(identity)
    deadline = time.monotonic() + _END_TIMEOUT_S
    while is_alive(files) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    context.store.remove(identity)


def _base_commit(spec: BottleSpec) -> str | None:
    if spec.workspace == "mount":
        return None
    from bottlemux.lifecycle.changes import base_commit

    return base_commit(spec.directory)


def _open_window(context: Context, spec: WindowSpec) -> None:
    """Open a window; a session made for it gets the size of our terminal, so that its panes come out right."""
    columns, rows = shutil.get_terminal_size(DEFAULT_SIZE)
    context.workspace.open_windows([spec], size=(columns, rows))


def resume(context: Context, record: Metadata, backend_name: str | None = None) -> str:
    """Bring a bottle back under its identity, doing only what is needed; return what was done.

    A bottle that ended is launched again; a running one gets its window or its ended agent back.
    """
    if is_alive(context.paths.bottle(record.identity)):
        # A bottle may have lost what the agent is in, while its sidecars run on: then it is launched again.
        with contextlib.suppress(NotFoundError):
            return _mend(context, record, find_bottle(context, record))
    record, bottle = relaunch(context, record, plan_relaunch(context, record, backend_name))
    try:
        _open_window(context, window_for(context, record, bottle))
    except BaseException:
        bottle.close()
        raise
    return "started again"


def plan_relaunch(context: Context, record: Metadata, backend_name: str | None = None) -> Planned:
    """Return the plan that brings a bottle back, once its conversation is safe outside of its home."""
    conversations.keep(context.paths.bottle(record.identity))
    return plan_resume(context, record, backend_name)


def relaunch(context: Context, record: Metadata, planned: Planned) -> tuple[Metadata, Bottle]:
    """Carry out a plan to bring a bottle back, but for its window; what is left of an old one is closed."""
    unmark_stopped(context.paths.bottle(record.identity))
    bottle = planned.backend.launch(planned.plan)
    record = replace(record, backend=planned.plan.backend_name, layout=planned.layout, started_at=_now())
    context.store.save(record)
    context.workspace.close(record.identity)
    return record, bottle


def _mend(context: Context, record: Metadata, bottle: Bottle) -> str:
    workspace = context.workspace
    window = workspace.find(record.identity)
    spec = window_for(context, record, bottle)
    if window is None:
        _open_window(context, spec)
        return "window opened again"
    dead = [pane for pane in window.panes if pane.dead]
    commands = {pane.role: pane.argv for pane in spec.panes}
    for pane in dead:
        if pane.role in commands:
            workspace.respawn(pane.pane_id, commands[pane.role])
    if dead:
        return f"{', '.join(pane.role for pane in dead)} started again"
    return "running already"


def restart_agent(context: Context, record: Metadata) -> None:
    """End the agent's program in its window and start it again; bottle, sidecars and other panes go on."""
    bottle = find_bottle(context, record)
    pane = context.workspace.require(record.identity).pane("agent")
    if pane is None:
        raise NotFoundError(
            f"{record.identity} has no pane for its agent", hint=f"bottlemux resume {record.identity}"
        )
    context.workspace.respawn(pane.pane_id, pane_argv(context, bottle, PaneLayout(role="agent")))


def find_bottle(context: Context, record: Metadata) -> Bottle:
    """Return a handle on a running bottle; ``NotFoundError`` when it does not run."""
    if not is_alive(context.paths.bottle(record.identity)):
        raise NotFoundError(f"{record.identity} does not run", hint=f"bottlemux resume {record.identity}")
    return get_bottle_backend(record.backend, paths=context.paths).find(record.identity)


def stop(context: Context, identity: str) -> None:
    """End a bottle, its sidecars and its window; its state stays. What ended already is no error.

    A running bottle can be stopped even if its record cannot be read: its supervisor says what runs it.
    """
    files = context.paths.bottle(identity)
    mark_stopped(files, _now())
    if is_alive(files):
        status = read_status(files)
        backend = status.backend if status else context.store.load(identity).backend
        with contextlib.suppress(NotFoundError):
            get_bottle_backend(backend, paths=context.paths).find(identity).close()
    else:
        files.status.unlink(
            missing_ok=True
        )  # a supervisor that was killed left it, and the end is wanted now
    context.workspace.close(identity)
    conversations.keep(files)


def remove(context: Context, identity: str) -> None:
    """Delete the state of a bottle that does not run, and the window that may be left of it."""
    if is_alive(context.paths.bottle(identity)):
        raise BottlemuxError(f"{identity} is running", hint=f"bottlemux stop {identity}")
    context.workspace.close(identity)
    context.store.remove(identity)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
