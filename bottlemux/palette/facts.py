"""What the palette knows: names at once, the rest as it comes in from background threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus
    from bottlemux.manifest.loader import LayoutOrigin
    from bottlemux.screens.background import Background


class BackendFacts(NamedTuple):
    """Whether a backend works here, why not, and the workspaces it can make."""

    available: bool
    reason: str
    workspaces: tuple[str, ...]


def _no_backends() -> dict[str, BackendFacts | None]:
    return {}


def _no_layouts() -> dict[str, LayoutOrigin]:
    return {}


def _no_statuses() -> dict[str, BottleStatus]:
    return {}


class ProposalFacts(NamedTuple):
    """An open proposal: ``asks`` is safe for a terminal, ``since`` is RFC 3339."""

    id: str
    slug: str
    asks: str
    since: str


@dataclass(frozen=True)
class Facts:
    """``backends`` is empty until their names are known; ``None`` stands for one that has not answered yet."""

    agents: tuple[str, ...] = ()
    alive: Mapping[str, bool] = field(default_factory=dict[str, bool])
    layouts: Mapping[str, LayoutOrigin] = field(default_factory=_no_layouts)
    backends: Mapping[str, BackendFacts | None] = field(default_factory=_no_backends)
    statuses: Mapping[str, BottleStatus] = field(default_factory=_no_statuses)
    proposals: tuple[ProposalFacts, ...] = ()
    directories: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def backends_known(self) -> bool:
        """Whether every backend has answered."""
        return bool(self.backends) and None not in self.backends.values()

    @property
    def available(self) -> list[str]:
        """The backends that work here, as far as they have answered."""
        return [name for name, facts in self.backends.items() if facts is not None and facts.available]

    @property
    def blocked(self) -> str:
        """Why no agent can be started; empty if one can, or might."""
        if not self.backends_known or self.available:
            return ""
        reasons = [f"{name}: {facts.reason}" for name, facts in self.backends.items() if facts is not None]
        return f"no backend works here ({'; '.join(reasons)})"


def read_names(context: Context) -> Facts:
    """Return what directory listings and locks tell; asks no backend and no tmux, and imports nothing heavy."""
    from bottlemux.manifest.loader import layout_origins, list_agents
    from bottlemux.state.liveness import identities, is_alive

    try:
        agents = tuple(list_agents(context.paths, context.cwd))
        layouts = layout_origins(context.paths, context.cwd)
        trouble = ""
    except (BottlemuxError, OSError) as error:
        agents, layouts, trouble = (), {}, str(error)
    alive = {slug: is_alive(context.paths.bottle(slug)) for slug in identities(context.paths)}
    here = (str(context.cwd),)
    return Facts(agents=agents, alive=alive, layouts=layouts, directories=here, trouble=trouble)


class Gatherer:
    """Asks everything slow, each in a thread of its own, and reports every answer as new facts."""

    def __init__(self, context: Context, background: Background, report: Callable[[Facts], None]) -> None:
        self.facts = Facts()
        self._context = context
        self._background = background
        self._report = report
        self._asking_statuses = False
        self._read_before = False

    def read_names(self, context: Context) -> None:
        """Read what directory listings of ``context`` tell, at once; everything later is about it too."""
        self._context = context
        self.facts = read_names(self._context)

    def ask_backends(self) -> None:
        """Find the backends and ask each whether it works, and on which engines; one that hangs delays no other."""
        self._background.run(_backend_names, self._ask_each)

    def ask_statuses(self) -> None:
        """Read files anew, then ask tmux and the kernel how running bottles do, unless that is under way."""
        if self._asking_statuses:
            return
        self._asking_statuses = True
        context = self._context
        # Where bottles are is read once: with hundreds of them that takes as long as all else together.
        known = self.facts.directories if self._read_before else ()
        self._read_before = True
        self._background.run(lambda: read_slowly(context, read_names(context), known), self._got_files)

    def _ask_each(self, names: Sequence[str]) -> None:
        self._update(replace(self.facts, backends={**self.facts.backends, **dict.fromkeys(names)}))
        for name in names:
            self._ask(name)
            self._background.run(partial(_variants, self._context, name), self._ask_variants)

    def _ask_variants(self, names: Sequence[str]) -> None:
        if names:
            self._update(replace(self.facts, backends={**self.facts.backends, **dict.fromkeys(names)}))
        for name in names:
            self._ask(name)

    def _ask(self, name: str) -> None:
        def got(answer: BackendFacts) -> None:
            self._update(replace(self.facts, backends={**self.facts.backends, name: answer}))

        self._background.run(lambda: _look_at(self._context, name), got)

    def _got_files(self, found: Facts) -> None:
        self._update(replace(found, backends=self.facts.backends, statuses=self.facts.statuses))
        self._background.run(lambda: _statuses(self._context, found), self._got_statuses)

    def _got_statuses(self, statuses: dict[str, BottleStatus]) -> None:
        self._asking_statuses = False
        self._update(replace(self.facts, statuses=statuses))

    def _update(self, facts: Facts) -> None:
        if facts != self.facts:
            self.facts = facts
            self._report(facts)


def _backend_names() -> list[str]:
    from backends.registry import known_backend_names

    return known_backend_names()


def _variants(context: Context, name: str) -> Sequence[str]:
    """Return the names of ``name`` on engines elsewhere; none for a backend that cannot say."""
    from backends.registry import get_bottle_backend

    try:
        return get_bottle_backend(name, paths=context.paths).variants()
    except (BottlemuxError, ImportError, OSError):
        return ()


def _look_at(context: Context, name: str) -> BackendFacts:
    from backends.registry import get_bottle_backend

    try:
        backend = get_bottle_backend(name, paths=context.paths)
        availability = backend.is_available()
    except (BottlemuxError, ImportError, OSError) as error:
        return BackendFacts(available=False, reason=str(error), workspaces=())
    return BackendFacts(
        available=availability.available, reason=availability.reason, workspaces=backend.workspaces
    )


def read_slowly(context: Context, names: Facts, directories: tuple[str, ...] = ()) -> Facts:
    """Return ``names`` with what the files of bottles tell, ``directories`` if not known; asks no backend, no tmux."""
    try:
        return replace(names, proposals=_proposals(context), directories=directories or _directories(context))
    except (BottlemuxError, OSError) as error:
        return replace(names, trouble=str(error))


def _statuses(context: Context, facts: Facts) -> dict[str, BottleStatus]:
    from bottlemux.lifecycle.status import collect

    active = [slug for slug, alive in facts.alive.items() if alive]
    if not active:
        return {}
    try:
        return {row.slug: row for row in collect(context, active)}
    except (BottlemuxError, OSError):
        return {}


def _proposals(context: Context) -> tuple[ProposalFacts, ...]:
    from bottlemux.approvals.finding import open_proposals
    from bottlemux.approvals.showing import request_text

    return tuple(
        ProposalFacts(item.id, item.slug, request_text(item), item.created_at)
        for item in open_proposals(context.paths)
        if item.state == "pending"
    )


def _directories(context: Context) -> tuple[str, ...]:
    """Return where bottles may be wanted: here, then where the known ones are, the newest first.

    The home directory, which no bottle may have, is last.
    """
    from bottlemux.state.metadata import Metadata

    records = [record for record in context.store.list() if isinstance(record, Metadata)]
    records.sort(key=lambda record: record.started_at, reverse=True)
    found = dict.fromkeys([str(context.cwd), *(record.cwd for record in records)])
    return tuple(sorted(found, key=lambda name: name == context.environ.get("HOME")))
