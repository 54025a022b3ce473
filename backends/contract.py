"""The contract between bottlemux and what runs bottles.

A backend turns a :class:`BottleSpec` into a frozen plan (``prepare``), runs a plan (``launch``), finds what runs
(``enumerate_active``, ``find``) and removes what nothing owns (``prepare_cleanup``, ``cleanup``). It knows nothing of
tmux: panes are built from :meth:`Bottle.claude_argv` by the caller.
"""

from __future__ import annotations

import abc
import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self, final

from bottlemux.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from bottlemux.manifest.loader import ResolvedAgent
    from bottlemux.paths import BottlePaths, Paths
    from sidecars.secrets import SecretSource


MAX_OUTPUT_BYTES = 16 << 20
"""What :meth:`Bottle.exec` takes of each stream: a hostile agent may stand behind any program that prints."""


@dataclass(frozen=True)
class BottleSpec:
    """What is wanted: one agent, somewhere. The same value starts a bottle or brings it back.

    ``directory`` is the operator's absolute project directory. ``secrets`` are where the credentials come from, by
    the name the bottle sees; those missing on this machine are absent and their routes refuse. ``resumed`` says that
    the bottle's home and workspace exist already, except that a ``lost_home`` is made anew. ``session_id`` is the
    UUID that a fresh conversation gets. ``pipelock_binary`` is what scans requests, ``gitleaks_binary`` what scans
    pushes: ``builtin``, or the operator's program by its absolute path.
    """

    identity: str
    resolved: ResolvedAgent
    paths: Paths
    directory: Path
    workspace: str
    prompt: str = ""
    arguments: tuple[str, ...] = ()
    resumed: bool = False
    lost_home: bool = False
    session_id: str = ""
    secrets: Mapping[str, SecretSource] = field(default_factory=dict["str", "SecretSource"], repr=False)
    pipelock_binary: str = "builtin"
    gitleaks_binary: str = "builtin"

    @property
    def makes_home(self) -> bool:
        """Whether the home directory is a new one, which gets its first files."""
        return self.lost_home or not self.resumed

    @property
    def files(self) -> BottlePaths:
        """Where this bottle's files are."""
        return self.paths.bottle(self.identity)


@dataclass(frozen=True)
class BottlePlan(abc.ABC):
    """Everything decided before anything is made: ``launch`` only carries it out."""

    spec: BottleSpec
    backend_name: str
    warnings: tuple[str, ...]

    @abc.abstractmethod
    def details(self) -> Sequence[tuple[str, str]]:
        """Return the backend's own lines of the preflight, as label and text."""

    def print(
        self, write: Callable[[str], object] | None = None, more: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Write the compact preflight: what the agent will be able to see, reach and change. No secret.

        Without ``write`` it goes to standard output. ``more`` are lines of the caller's, as label and text, to stand
        below the workspace.
        """
        from backends.preflight import lines

        for line in lines(self, more):
            (write or sys.stdout.write)(line + "\n")


@dataclass(frozen=True)
class ActiveAgent:
    """One running bottle. ``started_at`` is RFC 3339 in UTC; ``services`` are the sidecars that run."""

    backend_name: str
    slug: str
    agent_name: str
    started_at: str
    services: tuple[str, ...]


@dataclass(frozen=True)
class ExecResult:
    """How a script in a bottle ended: its exit code (128 + n for signal n) and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Authority:
    """A bottle's own certificate authority, in PEM. Only the certificate may be written or shown to the bottle."""

    certificate: bytes
    key: bytes = field(repr=False)


class Bottle(abc.ABC):
    """A handle on one running bottle. As a context manager it ends the bottle at exit; a handle dropped does not."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abc.abstractmethod
    def claude_argv(self, argv: Sequence[str], *, tty: bool = True) -> list[str]:
        """Return the host command that runs ``argv`` in the bottle, as user ``node`` in ``/workspace``.

        Run as a pane's process it passes keys, size, signals and the exit code through; when it is killed, what it
        started in the bottle ends. It holds no secret.
        """

    @abc.abstractmethod
    def exec(self, script: str, *, user: str = "node") -> ExecResult:
        """Run a shell ``script``, given on standard input, in the bottle and wait for it.

        More than :data:`MAX_OUTPUT_BYTES` of output may be a ``BottlemuxError``.
        """

    @abc.abstractmethod
    def run(self, argv: Sequence[str], *, user: str = "node", tty: bool = False) -> int:
        """Run ``argv`` with this process's own standard streams and return its exit code."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the bottle and its sidecars; its files stay. Safe to call twice, and on a bottle already gone."""


class BottleBackend[PlanT: BottlePlan, CleanupT](abc.ABC):
    """What runs bottles in one particular way. Capabilities are data, never asked for by name elsewhere."""

    name: ClassVar[str]
    can_rebuild: ClassVar[bool] = False
    """Whether a bottle has an image of its own that can get more packages."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    @property
    def workspaces(self) -> tuple[str, ...]:
        """The kinds of workspace that are possible here."""
        return ("mount", "clone", "copy")

    def variants(self) -> Sequence[str]:
        """Return more names of this backend, with an engine each (``NAME@ENGINE``), that the user's settings have."""
        return ()

    @final
    def prepare(self, spec: BottleSpec) -> PlanT:
        """Check ``spec`` and return the plan. Makes nothing; raises a ``BottlemuxError`` for what cannot work."""
        from backends.sidecar_specs import check_identities

        check_identities(spec)
        self._validate(spec)
        return self._resolve_plan(spec)

    @abc.abstractmethod
    def _validate(self, spec: BottleSpec) -> None:
        """Raise for a spec that this backend cannot honour in full. Nothing is silently left out."""

    @abc.abstractmethod
    def _resolve_plan(self, spec: BottleSpec) -> PlanT:
        """Return the plan of a valid ``spec``; a pure function of it and of what is on this machine."""

    @abc.abstractmethod
    def launch(self, plan: PlanT) -> Bottle:
        """Make the bottle and its sidecars, provision it and return it once every sidecar accepts connections.

        The bottle's state directory exists. On failure nothing that this call made is left.
        """

    @final
    def provision(self, plan: PlanT, authority: Authority) -> None:
        """Give the bottle all that its programs expect, in the fixed order; an implementation's ``launch`` calls it."""
        self._provision_ca(plan, authority)
        self._provision_prompt(plan)
        self._provision_skills(plan)
        self._provision_git(plan)
        self._provision_supervise(plan)

    @abc.abstractmethod
    def _provision_ca(self, plan: PlanT, authority: Authority) -> None:
        """Make the bottle trust its own certificate authority."""

    @abc.abstractmethod
    def _provision_prompt(self, plan: PlanT) -> None:
        """Place the program's start script, standing instructions, first task and answered questions."""

    @abc.abstractmethod
    def _provision_skills(self, plan: PlanT) -> None:
        """Place the agent's skills where its program looks for them."""

    @abc.abstractmethod
    def _provision_git(self, plan: PlanT) -> None:
        """Point git at the gate for every upstream of the manifest."""

    @abc.abstractmethod
    def _provision_supervise(self, plan: PlanT) -> None:
        """Tell the program where it can ask the operator for more."""

    def build(self, plan: PlanT, dockerfile: str, say: Callable[[str], object]) -> str:  # noqa: ARG002
        """Build the image of ``dockerfile``, which adds to the bottle's own, and return the name that it will have.

        Only where the backend :attr:`can_rebuild`. Running bottles notice nothing. ``say`` gets what the build prints;
        ``launch`` takes this image where ``plan.spec.files.dockerfile`` has the same content.
        """
        raise UnavailableError(f"a bottle of {self.name} has no image of its own")

    def image_of(self, identity: str) -> str:  # noqa: ARG002
        """Return the name of the image in which a bottle was launched last; empty where there is none."""
        return ""

    @abc.abstractmethod
    def find(self, identity: str) -> Bottle:
        """Return a handle on a running bottle of this backend; ``NotFoundError`` when it does not run."""

    def end(self, identity: str) -> None:
        """End a bottle, also what is left of one that has lost a part and that :meth:`find` does not find any more.

        Only for who wants its end: :meth:`find` ends nothing, somebody else may be bringing the bottle back.
        """
        with contextlib.suppress(NotFoundError):
            self.find(identity).close()

    def recover(self, identity: str) -> Bottle | None:  # noqa: ARG002 - for backends whose bottles can be elsewhere
        """Take up a bottle again that may run although nothing on this machine holds it; ``None`` if it does not.

        What is left of one that ended is removed. Where bottles run on this machine there is none.
        """
        return None

    def discard(self, identity: str) -> None:  # noqa: B027 - most have nothing
        """Remove what is kept of an ended bottle outside its state directory, which is about to go. Idempotent."""

    def bring_back(self, identity: str) -> None:  # noqa: B027 - as a rule it is there
        """Have the bottle's own working copy, as it is now, in its state directory."""

    def release(self, identity: str) -> None:  # noqa: B027 - as a rule all of it is there
        """Have all of an ended bottle in its state directory, its home too: another backend takes it over."""

    @abc.abstractmethod
    def enumerate_active(self) -> Iterable[ActiveAgent]:
        """Return the running bottles of this backend, in a constant number of calls to an engine.

        What is raised at the end takes none away of those before.
        """

    @abc.abstractmethod
    def prepare_cleanup(self) -> CleanupT:
        """Find what no live bottle owns. Changes nothing."""

    @abc.abstractmethod
    def describe_cleanup(self, plan: CleanupT) -> Sequence[str]:
        """Return a line for each thing that :meth:`cleanup` would remove."""

    @abc.abstractmethod
    def cleanup(self, plan: CleanupT) -> None:
        """Remove exactly what ``plan`` lists; what is gone already is no error."""

    @abc.abstractmethod
    def is_available(self) -> Availability:
        """Say whether bottles can run here. Looks, and may try; never raises."""


@dataclass(frozen=True)
class Availability:
    """Whether something works here. ``reason`` and ``hint`` (the command that mends it) are for a person."""

    available: bool
    reason: str = ""
    hint: str = ""

    def __bool__(self) -> bool:
        return self.available
