"""Which engine of those that ``config.toml`` names gets the next bottle: the least loaded one, by its own figures."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.docker import images, names, runtime
from backends.docker.check import output_of
from backends.docker.endpoint import find_endpoint
from backends.docker.engine import Engine
from bottlemux.errors import BottlemuxError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_S = 20
_YOUNG_S = 60.0
_FIGURES = "cat /proc/loadavg /proc/meminfo"


@dataclass(frozen=True)
class Figures:
    """What an engine says of its machine. ``load`` counts processes that run or wait, ``bottles`` those of all users.

    Bottles that are ``young`` are not in the average of a minute yet.
    """

    processors: int
    load: float
    memory: int
    available: int
    bottles: int
    young: int

    @property
    def busy(self) -> float:
        """What is most used of it: processors, or memory, as a share; more than 1 is more than there is."""
        return max((self.load + self.young) / self.processors, 1 - self.available / self.memory)

    def __str__(self) -> str:
        return (
            f"load {self.load:.1f} on {self.processors} CPUs, "
            f"{self.available / 2**30:.1f} of {self.memory / 2**30:.1f} GiB free, {self.bottles} bottles"
        )


@dataclass(frozen=True)
class Candidate:
    """An engine with its figures, or with the reason why it has none."""

    context: str
    figures: Figures | None = None
    reason: str = ""


def choose(contexts: Sequence[str], *, needs_gvisor: bool = False) -> tuple[Candidate, Sequence[Candidate]]:
    """Ask every engine at once; return the least loaded one, and those that do not answer or lack what is needed.

    Of equally busy ones it is the one with fewer bottles, then the one that is named first.
    """
    if not contexts:
        raise UsageError(
            "config.toml names no engine to choose from",
            hint='write there, under [docker]: engines = ["CONTEXT", ...]',
        )
    with ThreadPoolExecutor(len(contexts)) as pool:
        asked = list(pool.map(functools.partial(_ask, needs_gvisor=needs_gvisor), contexts))
    best = min(
        (each for each in asked if each.figures is not None),
        key=lambda each: (round(each.figures.busy, 1), each.figures.bottles) if each.figures else (9.9, 0),
        default=None,
    )
    failed = [each for each in asked if each.figures is None]
    if best is None:
        reasons = "; ".join(f"{each.context}: {each.reason}" for each in failed)
        raise UnavailableError(f"no engine can be used ({reasons})", hint="bottlemux list backends")
    return best, failed


def _ask(context: str, *, needs_gvisor: bool) -> Candidate:
    try:
        engine = Engine(find_endpoint(context), timeout=PATIENCE_S)
        try:
            if needs_gvisor:
                runtime.choose(engine.check(), engine.endpoint, needs_gvisor=True)
            return Candidate(context, figures(engine))
        finally:
            engine.close()
    except BottlemuxError as error:
        return Candidate(context, reason=error.message)


def figures(engine: Engine) -> Figures:
    """Return the figures of an engine's machine, as a container there sees them.

    One that never had a bottle has no image to look from; it is taken for as busy as it has containers.
    """
    facts = engine.check()
    processors, memory = int(facts["NCPU"]), int(facts["MemTotal"])
    load, available = float(facts["ContainersRunning"]), memory
    tag = images.own_source(names.SIDECARS).tag
    if engine.image_id(tag):
        load, available = parse_figures(output_of(engine, tag, _FIGURES))
    bottles = engine.containers({names.ROLE_LABEL: names.AGENT}, everything=False)
    return Figures(processors, load, memory, available, len(bottles), sum(map(_is_young, bottles)))


def parse_figures(text: str) -> tuple[float, int]:
    """Return the load average of a minute and the available memory in bytes, from what the kernel says."""
    try:
        load = float(text.partition(" ")[0])
        line = next(line for line in text.splitlines() if line.startswith("MemAvailable:"))
        return load, int(line.split()[1]) * 1024
    except (IndexError, StopIteration, ValueError) as error:
        raise BottlemuxError("the engine's machine gives no figures") from error


def _is_young(container: dict[str, Any]) -> bool:
    return time.time() - float(container["Created"]) < _YOUNG_S
