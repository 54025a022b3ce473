"""What bottles and their sidecars use of the machine. Apart from their states, which are cheaper to have."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psutil

    from bottlemux.state.liveness import RuntimeStatus

_FIRST_SAMPLE_S = 0.1


@dataclass(frozen=True)
class Usage:
    """What a bottle and its sidecars use: CPU in percent of one core, memory in bytes (proportional set size)."""

    cpu_percent: float
    memory_bytes: int


def _no_processes() -> dict[int, psutil.Process]:
    return {}


@dataclass
class Sampler:
    """Measures CPU from one call of :meth:`sample` to the next, so it never waits; the first call measures none."""

    _known: dict[int, psutil.Process] = field(default_factory=_no_processes)

    def sample(self, statuses: Mapping[str, RuntimeStatus]) -> dict[str, Usage]:
        """Return what the processes of each running bottle used since the last call."""
        families = {slug: self._family(status) for slug, status in statuses.items()}
        self._known = {process.pid: process for family in families.values() for process in family}
        return {slug: _usage(family) for slug, family in families.items() if family}

    def _family(self, status: RuntimeStatus) -> list[psutil.Process]:
        import psutil

        found: set[psutil.Process] = set()
        # In a container, the bottle is no child of its supervisor.
        for pid in filter(None, (status.supervisor_pid, status.init_pid)):
            try:
                root = psutil.Process(pid)
                found |= {root, *root.children(recursive=True)}
            except psutil.Error:
                continue
        return [self._same(process) for process in found]

    def _same(self, process: psutil.Process) -> psutil.Process:
        """Return the object that remembers the last sample, where it is of the same process."""
        known = self._known.get(process.pid)
        return known if known is not None and known == process else process


def measure(statuses: Mapping[str, RuntimeStatus]) -> dict[str, Usage]:
    """Return what each bottle's processes use, sampled over a moment for all of them together."""
    if not statuses:
        return {}
    sampler = Sampler()
    sampler.sample(statuses)
    time.sleep(_FIRST_SAMPLE_S)
    return sampler.sample(statuses)


def _usage(family: list[psutil.Process]) -> Usage:
    cpu = sum(_ignoring_ended(process.cpu_percent) for process in family)
    memory = sum(_ignoring_ended(functools.partial(_memory, process)) for process in family)
    return Usage(round(cpu, 1), int(memory))


def _memory(process: psutil.Process) -> float:
    return process.memory_full_info().pss


def _ignoring_ended(read: Callable[[], float]) -> float:
    import psutil

    try:
        return float(read())
    except psutil.Error:
        return 0.0
