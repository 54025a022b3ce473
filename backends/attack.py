"""Runs the battery of attacks in a bottle and reads what it reports."""

from __future__ import annotations

import base64
import io
import json
import shlex
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from backends.battery.case import Targets
from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.contract import Bottle

_PACKAGE = Path(__file__).with_name("battery")
_PYTHONS = ("python3", "/run/bottlemux/python/bin/python3")
# Options and package come by standard input: on a command line the battery would find what it looks for, and the
# archive never becomes a file of the bottle.
_LOADER = """
import base64, os, runpy, sys
options, archive = (base64.b64decode(line) for line in sys.stdin)
place = os.memfd_create("battery")
os.write(place, archive)
sys.path.insert(0, "/proc/self/fd/%d" % place)
sys.argv = ["battery"]
runpy.run_module("battery", init_globals={"OPTIONS": options}, run_name="__main__")
"""
type Outcome = Literal["held", "broken", "skipped"]
_OUTCOMES: tuple[Outcome, ...] = ("held", "broken", "skipped")


@dataclass(frozen=True)
class Verdict:
    """One attack and what became of it: ``held`` is what it should be."""

    id: str
    attempt: str
    expected: str
    outcome: Outcome
    detail: str


def attack(
    bottle: Bottle, *, targets: Targets | None = None, rough: bool = False, only: Sequence[str] = ()
) -> list[Verdict]:
    """Attack ``bottle`` from inside and return each case's verdict.

    ``rough`` adds the attacks that disturb the bottle. A bottle without Python, or one where the battery does not come
    to its end, is a ``BottlemuxError``. What comes back was written inside the bottle: a hostile agent can forge it, so
    it says something about the walls only.
    """
    options = json.dumps({"targets": asdict(targets or Targets()), "rough": rough, "only": list(only)})
    result = bottle.exec(_script(options.encode(), _archive()))
    verdicts = [_verdict(line) for line in result.stdout.splitlines()]
    if not verdicts or result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or [f"it ended with {result.returncode}"]
        raise BottlemuxError(f"the battery does not run to its end in {bottle.identity}: {reason[0]}")
    return verdicts


def _script(*inputs: bytes) -> str:
    candidates = " ".join(shlex.quote(name) for name in _PYTHONS)
    lines = "\n".join(base64.b64encode(data).decode() for data in inputs)
    return (
        f"for python in {candidates}; do\n"
        f'command -v "$python" >/dev/null && exec "$python" -I -c {shlex.quote(_LOADER)} <<"end"\n{lines}\nend\n'
        "done\necho 'there is no Python in it' >&2; exit 127\n"
    )


def _archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for source in sorted(_PACKAGE.glob("*.py")):
            archive.writestr(f"battery/{source.name}", source.read_bytes())
    return data.getvalue()


def _verdict(line: str) -> Verdict:
    try:
        row = cast("dict[str, str]", json.loads(line))
        outcome, text = (
            row["outcome"],
            {name: str(row[name]) for name in ("id", "attempt", "expected", "detail")},
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BottlemuxError("the battery printed something else than verdicts") from error
    for known in _OUTCOMES:
        if outcome == known:
            return Verdict(outcome=known, **text)
    raise BottlemuxError("the battery printed a verdict that there is not")
