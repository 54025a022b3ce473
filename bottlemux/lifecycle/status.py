"""How bottles are doing, joined from what the kernel, the supervisor and tmux say."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

from bottlemux.approvals.finding import awaited, open_proposals
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.state.liveness import RuntimeStatus, is_alive, read_status
from bottlemux.state.store import BrokenRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowInfo
    from bottlemux.state.metadata import Metadata

type State = Literal["starting", "working", "waiting", "idle", "exited", "broken"]

QUIET_AFTER_S = 4.0
_CPU_SAMPLE_S = 0.1


@dataclass(frozen=True)
class Usage:
    """What a bottle and its sidecars use: CPU in percent of one core, memory in bytes (proportional set size)."""

    cpu_percent: float
    memory_bytes: int


@dataclass(frozen=True)
class BottleStatus:
    """One row of ``status``. ``since`` is RFC 3339 in UTC; ``reason`` says how the state is known or what is wrong."""

    slug: str
    agent: str
    backend: str
    state: State
    reason: str
    since: str
    cpu_percent: float | None
    memory_bytes: int | None
    blocked: int
    open_proposals: int
    services: Mapping[str, str]

    def to_json(self) -> dict[str, object]:
        """Return the row as JSON-ready values."""
        return asdict(self)


def collect(context: Context, slugs: Iterable[str] | None = None) -> list[BottleStatus]:
    """Return a row for each bottle there is a record of, or for the given ones."""
    store = context.store
    wanted = None if slugs is None else {store.resolve_prefix(slug) for slug in slugs}
    records = [record for record in store.list() if wanted is None or record.identity in wanted]
    windows = _windows(context)
    statuses = {record.identity: read_status(context.paths.bottle(record.identity)) for record in records}
    alive = {record.identity for record in records if is_alive(context.paths.bottle(record.identity))}
    usage = measure({slug: status for slug, status in statuses.items() if status and slug in alive})
    return [
        _broken_row(record)
        if isinstance(record, BrokenRecord)
        else _row(
            context,
            record,
            statuses[record.identity],
            windows.get(record.identity),
            usage.get(record.identity),
            alive=record.identity in alive,
        )
        for record in records
    ]


def _windows(context: Context) -> dict[str, WindowInfo]:
    try:
        return {window.slug: window for window in context.workspace.list()}
    except UsageError:
        raise
    except BottlemuxError:
        return {}


def _broken_row(record: BrokenRecord) -> BottleStatus:
    return BottleStatus(record.identity, "", "", "broken", record.problem, "", None, None, 0, 0, services={})


def _row(
    context: Context,
    record: Metadata,
    status: RuntimeStatus | None,
    window: WindowInfo | None,
    usage: Usage | None,
    *,
    alive: bool,
) -> BottleStatus:
    state, reason, since = _waiting(context, record, alive=alive) or _state(
        record, status, window, alive=alive
    )
    services = (
        {name: _service_text(item.state, item.restarts) for name, item in status.services.items()}
        if (status and alive)
        else {}
    )
    return BottleStatus(
        slug=record.identity,
        agent=record.agent,
        backend=record.backend,
        state=state,
        reason=reason,
        since=since,
        cpu_percent=usage.cpu_percent if usage else None,
        memory_bytes=usage.memory_bytes if usage else None,
        blocked=count_blocked(context.paths.bottle(record.identity).audit),
        open_proposals=len(open_proposals(context.paths, record.identity)),
        services=services,
    )


def _waiting(context: Context, record: Metadata, *, alive: bool) -> tuple[State, str, str] | None:
    """Return that the agent stands still until the operator decides, if it does."""
    proposal = awaited(context.paths, record.identity) if alive else None
    if proposal is None:
        return None
    from bottlemux.approvals.showing import request_text

    return "waiting", f"asks for {request_text(proposal)} ({proposal.id})", proposal.created_at


def _service_text(state: str, restarts: int) -> str:
    return f"{state}, restarted {restarts} times" if restarts else state


def _state(
    record: Metadata, status: RuntimeStatus | None, window: WindowInfo | None, *, alive: bool
) -> tuple[State, str, str]:
    """Return the state, its reason and since when, from the strongest evidence to the weakest."""
    if not alive:
        if status is not None:
            return "broken", "its supervisor was killed: bottlemux resume brings it back", record.started_at
        return "exited", "stopped", record.started_at
    if status is None:
        return "starting", "being launched", record.started_at
    restarting = [name for name, service in status.services.items() if service.state != "running"]
    if restarting:
        return "broken", f"{', '.join(restarting)} is being restarted", status.started_at
    pane = window.pane("agent") if window else None
    if window is None or pane is None:
        return "broken", "its window is gone: bottlemux resume opens it", status.started_at
    active_at = datetime.fromtimestamp(window.activity, UTC).isoformat().replace("+00:00", "Z")
    if pane.dead:
        return "exited", f"the program ended ({pane.ended}): bottlemux resume starts it again", active_at
    quiet = time.time() - window.activity
    if quiet < QUIET_AFTER_S:
        return "working", "its window shows output", status.started_at
    return "idle", f"no output for {int(quiet)} s", active_at


def count_blocked(audit: Path) -> int:
    """Return how many requests were refused, from the audit log. What the operator rejected is none of them."""
    try:
        with audit.open("rb") as stream:
            return sum(1 for line in stream if b'"block"' in line and _is_block(line))
    except FileNotFoundError:
        return 0


def _is_block(line: bytes) -> bool:
    try:
        entry = cast("dict[str, object]", json.loads(line))
        return entry["decision"] == "block" and entry.get("sidecar") != "supervise"
    except (ValueError, TypeError, KeyError):
        return False


def measure(statuses: Mapping[str, RuntimeStatus]) -> dict[str, Usage]:
    """Return what each bottle's processes use, sampled once over a moment for all of them together."""
    if not statuses:
        return {}
    import psutil

    families: dict[str, list[psutil.Process]] = {}
    for slug, status in statuses.items():
        try:
            supervisor = psutil.Process(status.supervisor_pid)
            family = {supervisor, *supervisor.children(recursive=True)}
            if status.init_pid:
                # In a container, the bottle is no child of its supervisor.
                init = psutil.Process(status.init_pid)
                family |= {init, *init.children(recursive=True)}
            families[slug] = list(family)
        except psutil.Error:
            continue
    for process in (item for family in families.values() for item in family):
        _ignoring_ended(process.cpu_percent)
    time.sleep(_CPU_SAMPLE_S)
    return {slug: _usage(family) for slug, family in families.items()}


def _usage(family: Iterable[object]) -> Usage:
    import psutil

    cpu, memory = 0.0, 0
    for process in family:
        if isinstance(process, psutil.Process):
            cpu += _ignoring_ended(process.cpu_percent)
            memory += int(_ignoring_ended(lambda item=process: item.memory_full_info().pss))
    return Usage(round(cpu, 1), memory)


def _ignoring_ended(read: object) -> float:
    import psutil

    try:
        return float(read())  # type: ignore[operator]
    except psutil.Error:
        return 0.0
