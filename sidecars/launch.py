"""What a supervisor is told: the bottle's process and its sidecars. Imports nothing heavy, for launchers."""

from __future__ import annotations

import base64
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecars.egress.spec import EgressSpec
    from sidecars.git_gate.spec import GitGateSpec
    from sidecars.supervise.spec import SuperviseSpec

SYNC_FD = 11
"""The number at which a bottle's process finds its socket to the supervisor."""
ENTRY = "sidecars.supervisor:serve"
"""What a zygote's child runs to be a supervisor."""
KEYS = "/tmp/keys"  # noqa: S108 - in the memory of the sidecars' container, and of nobody else
"""Where the sidecars' container has git's keys, if it is elsewhere."""


@dataclass(frozen=True)
class BottleProcess:
    """The bottle as a child process: its first message on ``SYNC_FD`` brings the sidecars' listening sockets.

    ``descriptors`` are the numbers at which the launcher's descriptors appear in it, in the order they were sent;
    ``cgroups`` are existing control group directories that it joins and that are removed at its end. With
    ``names_machine`` its second message is the number of the process in which the bottle really runs.
    """

    argv: tuple[str, ...]
    environ: dict[str, str]
    descriptors: tuple[int, ...] = ()
    cgroups: tuple[str, ...] = ()
    names_machine: bool = False


@dataclass(frozen=True)
class SupervisorSpec:
    """All a supervisor needs. It travels over a private socket and is never written down: it holds secrets.

    ``bottle`` is ``None`` where the bottle is no process of the supervisor's machine, but a container beside it.
    """

    slug: str
    backend: str
    status_file: Path
    log_dir: Path
    bottle: BottleProcess | None
    egress: EgressSpec
    git_gate: GitGateSpec | None = None
    supervise: SuperviseSpec | None = None

    @property
    def services(self) -> Mapping[str, object]:
        """The sidecars to run, by name, with what each is told."""
        present: dict[str, object | None] = {
            "egress": self.egress,
            "git-gate": self.git_gate,
            "supervise": self.supervise,
        }
        return {name: spec for name, spec in present.items() if spec is not None}

    def without_secrets(self, text: str) -> str:
        """Return ``text`` with a word in place of each credential that is told here, for a person to read."""
        known = [source.value for source in self.egress.secrets.values()]
        known += self.git_gate.needles if self.git_gate else ()
        for secret in {value.strip() for value in known if value} - {""}:
            text = text.replace(secret, "[credential]")
        return text


def _path(text: str) -> Path:
    return Path(text)


class _Pickler(pickle.Pickler):
    """Names paths by their text: an image may have another Python, which keeps its own classes elsewhere."""

    def reducer_override(self, obj: object) -> Any:
        return (_path, (str(obj),)) if isinstance(obj, Path) else NotImplemented


def encode(spec: SupervisorSpec) -> str:
    """Return ``spec`` as text, secrets included: for a private socket or pipe only."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(spec)
    return base64.b64encode(buffer.getvalue()).decode()


def decode(text: str) -> SupervisorSpec:
    """Return the spec that :func:`encode` wrote.

    The text must come from the same user and the same code: a zygote checks both before it takes a connection.
    """
    spec = pickle.loads(base64.b64decode(text))  # noqa: S301 - see above
    if not isinstance(spec, SupervisorSpec):
        raise TypeError("not a supervisor's spec")
    return spec
