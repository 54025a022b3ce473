"""What bottles and their sidecars use of the machine. Apart from their states, which are cheaper to have."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bottlemux.state.liveness import RuntimeStatus

CPU_EVERY_S = 2.0
MEMORY_EVERY_S = 5.0
# Looking takes at most this share of the time, on a machine with however many processes.
_MAX_SHARE = 0.005
_FIRST_SAMPLE_S = 0.1


@dataclass(frozen=True)
class Usage:
    """What a bottle and its sidecars use: CPU in percent of one core, memory in bytes.

    Memory is the proportional set size, or all that is resident of a process that lets nobody look into it.
    ``None`` is what was not measured yet.
    """

    cpu_percent: float | None
    memory_bytes: int | None


class _Process(NamedTuple):
    parent: int
    seconds: float


type _Table = dict[int, _Process]


def _nothing() -> _Table:
    return {}


@dataclass
class Sampler:
    """Follows all bottles: CPU from one look at the process table to the next, memory of one bottle after the other.

    It never waits, and keeps what it takes itself low: asked within a moment, it answers as before. Memory costs more
    to measure than all else; the bottle named in ``preferred`` has its turn often.
    """

    preferred: str = ""
    _table: _Table = field(default_factory=_nothing)
    _looked: float = 0.0
    _next: float = 0.0
    _cpu: dict[str, float] = field(default_factory=dict[str, float])
    _memory: dict[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])

    def sample(self, statuses: Mapping[str, RuntimeStatus]) -> dict[str, Usage]:
        """Return what is known of each running bottle."""
        now = time.monotonic()
        if statuses and now >= self._next:
            began = time.thread_time()
            self._look(statuses, now)
            self._next = now + max(CPU_EVERY_S, (time.thread_time() - began) / _MAX_SHARE)
        memory = {slug: size for slug, (_when, size) in self._memory.items()}
        return {slug: Usage(self._cpu.get(slug), memory.get(slug)) for slug in statuses}

    def _look(self, statuses: Mapping[str, RuntimeStatus], now: float) -> None:
        table = _read_processes()
        families = _families(statuses, table)
        if self._table:
            self._cpu = {
                slug: _percent(family, self._table, table, now - self._looked)
                for slug, family in families.items()
            }
        self._table, self._looked = table, now
        self._memory = {slug: known for slug, known in self._memory.items() if slug in families}
        if (slug := self._due(families, now)) is not None:
            self._memory[slug] = (now, _read_memory(families[slug]))

    def _due(self, families: Iterable[str], now: float) -> str | None:
        """Return the bottle whose memory was measured longest ago, but not lately."""
        ages = {slug: now - self._memory[slug][0] if slug in self._memory else now for slug in families}
        if ages.get(self.preferred, 0.0) > MEMORY_EVERY_S:
            return self.preferred
        slug = max(ages, key=ages.__getitem__, default=None)
        return slug if slug is not None and ages[slug] > MEMORY_EVERY_S else None


def measure(statuses: Mapping[str, RuntimeStatus]) -> dict[str, Usage]:
    """Return what each bottle's processes use, sampled over a moment for all of them together."""
    if not statuses:
        return {}
    before, began = _read_processes(), time.monotonic()
    time.sleep(_FIRST_SAMPLE_S)
    table, elapsed = _read_processes(), time.monotonic() - began
    return {
        slug: Usage(_percent(family, before, table, elapsed), _read_memory(family))
        for slug, family in _families(statuses, table).items()
    }


def _read_processes() -> _Table:
    import psutil

    table: _Table = {}
    for process in psutil.process_iter(["ppid", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None:
            table[process.pid] = _Process(process.info["ppid"], times.user + times.system)
    return table


def _families(statuses: Mapping[str, RuntimeStatus], table: _Table) -> dict[str, set[int]]:
    """Return each bottle's processes and its sidecars: a container or a machine is no child of its supervisor."""
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    families: dict[str, set[int]] = {}
    for slug, status in statuses.items():
        left = [pid for pid in (status.supervisor_pid, status.init_pid) if pid in table]
        family = families[slug] = set[int]()
        while left:
            pid = left.pop()
            if pid not in family:
                family.add(pid)
                left += children.get(pid, [])
    return {slug: family for slug, family in families.items() if family}


def _percent(family: Iterable[int], before: _Table, after: _Table, elapsed: float) -> float:
    spent = 0.0
    for pid in family:
        known = before[pid].seconds if pid in before else 0.0
        # Less than before: another process that got the same number.
        spent += after[pid].seconds - known if after[pid].seconds >= known else after[pid].seconds
    return round(100 * spent / elapsed, 1)


def _read_memory(family: Iterable[int]) -> int:
    return sum(map(_read_size, family))


def _read_size(pid: int) -> int:
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        with contextlib.suppress(psutil.AccessDenied):
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)  # of one that is not dumpable, as the monitors of machines are
    return 0
