"""Starting a bottle, bringing it back, stopping and removing it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from backends.registry import get_bottle_backend
from bottlemux.errors import BottlemuxError, NotFoundError
from bottlemux.files import write_atomic
from bottlemux.lifecycle import conversations
from bottlemux.lifecycle.planning import Planned, plan_resume, with_identity, without
from bottlemux.lifecycle.remembering import remember
from bottlemux.lifecycle.windows import OWN_COMMANDS, named_layout, pane_argv, window_for
from bottlemux.session.layout import PaneLayout
from bottlemux.session.rearranging import rearrange
from bottlemux.session.saving import read_windows
from bottlemux.session.workspace import terminal_size
from bottlemux.state.ending import mark_stopped, stopped_at, unmark_stopped
from bottlemux.state.liveness import is_alive, read_status

if TYPE_CHECKING:
    from backends.contract import Bottle, BottleBackend, BottleSpec
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowInfo, WindowSpec
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
        remember(context)
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
        credentials=sorted(spec.secrets),
    )
    try:
        # First of all: a start that is killed from here on can be resumed with its task.
        write_atomic(context.paths.bottle(record.identity).guest / "prompt", spec.prompt, durable=False)
        return record, planned.backend.launch(with_identity(planned, record.identity).plan)
    except BaseException:
        _discard(context, record)
        raise


def undo(context: Context, record: Metadata, bottle: Bottle) -> None:
    """End a bottle that was just launched, and forget it."""
    bottle.close()
    _discard(context, record)


def _discard(context: Context, record: Metadata) -> None:
    """Remove what a failed start leaves, once its supervisor, whose launcher is gone, has ended by itself."""
    files = context.paths.bottle(record.identity)
    deadline = time.monotonic() + _END_TIMEOUT_S
    while is_alive(files) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    with contextlib.suppress(BottlemuxError):  # what could not be reached, cleanup finds
        _backend_of(context, record).discard(record.identity)
    context.store.remove(record.identity)


def _base_commit(spec: BottleSpec) -> str | None:
    if spec.workspace == "mount":
        return None
    from bottlemux.lifecycle.changes import base_commit

    return base_commit(spec.directory)


def _open_window(context: Context, spec: WindowSpec) -> None:
    """Open a window; a session made for it gets the size of our terminal, so that its panes come out right."""
    context.workspace.open_windows([spec], size=terminal_size())


def resume(context: Context, record: Metadata, backend_name: str | None = None) -> str:
    """Bring a bottle back under its identity, doing only what is needed; return what was done.

    A bottle that ended is launched again; a running one gets its window or its ended agent back.
    """
    bottle = running_bottle(context, record)
    if bottle is not None:
        done = show(context, record, bottle, anew=False)
    else:
        planned = plan_resume(context, record, backend_name)
        done = f"started again{without(record, planned)}"
        record, bottle = relaunch(context, record, planned)
        try:
            show(context, record, bottle, anew=True)
        except BaseException:
            bottle.close()
            raise
    remember(context)
    return done


def running_bottle(context: Context, record: Metadata) -> Bottle | None:
    """Return a handle on the bottle if all of it runs; its sidecars may have outlived what the agent was in.

    One that runs on another machine, and is not held here any more, is taken up again.
    """
    if not is_alive(context.paths.bottle(record.identity)):
        return _backend_of(context, record).recover(record.identity)
    with contextlib.suppress(NotFoundError):
        return find_bottle(context, record)
    _backend_of(context, record).end(record.identity)
    return None


def relaunch(context: Context, record: Metadata, planned: Planned) -> tuple[Metadata, Bottle]:
    """Carry out a plan to bring a bottle back, but for its window. Several may be launched at once, by threads."""
    files = context.paths.bottle(record.identity)
    conversations.keep(files)
    # The operator wants it back, also if this is killed half-way.
    unmark_stopped(files)
    if planned.plan.backend_name != record.backend:
        _backend_of(context, record).release(record.identity)
    bottle = planned.backend.launch(planned.plan)
    record = replace(record, backend=planned.plan.backend_name, layout=planned.layout, started_at=_now())
    record = replace(record, credentials=tuple(sorted(planned.spec.secrets)))
    context.store.save(record)
    return record, bottle


def show(context: Context, record: Metadata, bottle: Bottle, *, anew: bool, said: str = "") -> str:
    """Give a running bottle its window, or what ended in it; see :func:`revive`. Return what was done."""
    window = context.workspace.find(record.identity)
    if window is not None:
        context.workspace.dashboard.revive()
        return revive(context, record, bottle, window, anew=anew, said=said)
    _open_window(context, window_for(context, record, bottle))
    return "window opened again"


def revive(
    context: Context, record: Metadata, bottle: Bottle, window: WindowInfo, *, anew: bool, said: str = ""
) -> str:
    """Start again, in their panes, the programs that ended; of a bottle that was launched ``anew`` all of its own.

    ``said`` is what the agent is told when its conversation goes on.
    """
    workspace = context.workspace
    live = {
        pane.pane_id: pane
        for shown in read_windows(workspace.server, [window.window_id]).values()
        for pane in shown.panes
    }
    started: list[str] = []
    for info in window.panes:
        if not info.role or not (info.dead or (anew and info.role not in OWN_COMMANDS)):
            continue
        with contextlib.suppress(
            ValidationError
        ):  # a command of a layout, moved to another window: not known any more
            pane = live[info.pane_id].layout() if info.pane_id in live else PaneLayout(role=info.role)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            workspace.respawn(info.pane_id, pane_argv(context, bottle, pane, said))
            started.append(info.role)
    if window.pane("agent") is None:
        rearrange(
            workspace.server,
            window,
            named_layout(context, record),
            lambda pane: pane_argv(context, bottle, pane),
        )
        started.append("agent")
    return f"{', '.join(started)} started again" if started else "running already"


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
    remember(context)
    alive = is_alive(files)
    if alive or not stopped_at(files):
        mark_stopped(files, _now())
    if alive:
        status = read_status(files)
        backend = status.backend if status else context.store.load(identity).backend
        get_bottle_backend(backend, paths=context.paths).end(identity)
    else:
        _end_unheld(context, identity)
        files.status.unlink(
            missing_ok=True
        )  # a supervisor that was killed left it, and the end is wanted now
    context.workspace.close(identity)
    conversations.keep(files)
    context.workspace.dashboard.end_if_unused()


def _end_unheld(context: Context, identity: str) -> None:
    with contextlib.suppress(NotFoundError):
        bottle = _backend_of(context, context.store.load(identity)).recover(identity)
        if bottle is not None:
            bottle.close()


def _backend_of(context: Context, record: Metadata) -> BottleBackend[Any, Any]:
    return get_bottle_backend(record.backend, paths=context.paths)


def remove(context: Context, identity: str) -> None:
    """Delete the state of a bottle that does not run, and the window that may be left of it."""
    if is_alive(context.paths.bottle(identity)):
        raise BottlemuxError(f"{identity} is running", hint=f"bottlemux stop {identity}")
    _discard_elsewhere(context, identity)
    context.workspace.close(identity)
    context.store.remove(identity)


def _discard_elsewhere(context: Context, identity: str) -> None:
    try:
        record = context.store.load(identity)
    except BottlemuxError:
        return  # a record that cannot be read names no backend
    backend = _backend_of(context, record)
    if backend.recover(identity) is not None:
        raise BottlemuxError(f"{identity} is running", hint=f"bottlemux stop {identity}")
    backend.discard(identity)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
