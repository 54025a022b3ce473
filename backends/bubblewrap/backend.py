"""The embedded backend: bottles made by bubblewrap, without a daemon and without root."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from backends import guest, workspace
from backends.bubblewrap import launcher, sandbox, seccomp
from backends.bubblewrap.bottle import BubblewrapBottle
from backends.bubblewrap.leftovers import BubblewrapCleanup, find_leftovers, remove_leftovers
from backends.bubblewrap.places import (
    held_lock,
    make_program_places,
    replace_skills,
    undoing_on_failure,
    write_guest,
)
from backends.bubblewrap.plan import BubblewrapPlan, resolve
from backends.contract import ActiveAgent, Availability, Bottle, BottleBackend, BottleSpec
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError, UsageError
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.identity import agent_of, is_slug
from bottlemux.process import run
from bottlemux.state.liveness import is_alive, read_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.paths import Paths

INSTALL_HINT = "sudo apt-get install bubblewrap"
_USERNS_HINT = (
    "allow unprivileged user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu "
    "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
)
_OWN_CODE = (Path(__file__).with_name("init.py"), Path(__file__).parents[2] / "sidecars" / "ipc.py")


class BubblewrapBackend(BottleBackend[BubblewrapPlan, BubblewrapCleanup]):
    """Bottles as processes of this machine in namespaces of their own."""

    name: ClassVar[str] = "bubblewrap"

    def is_available(self) -> Availability:
        """Try the smallest bottle: a program that does nothing."""
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            return Availability(available=False, reason="bwrap is not installed", hint=INSTALL_HINT)
        probe = [bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "true"]
        try:
            result = run(probe, timeout=10.0)
        except BottlemuxError as error:
            return Availability(available=False, reason=error.message, hint=INSTALL_HINT)
        if result.returncode != 0:
            reason = result.stderr.decode(errors="replace").strip() or f"bwrap ended with {result.returncode}"
            return Availability(available=False, reason=reason, hint=_USERNS_HINT)
        return Availability(available=True)

    def _validate(self, spec: BottleSpec) -> None:
        if spec.resolved.bottle.image is not None:
            raise UsageError(
                f"bottle {spec.resolved.bottle.name!r} names an image, which bubblewrap does not use",
                hint="remove 'image', or choose another backend",
            )
        if not spec.directory.is_dir():
            raise UsageError(f"{str(spec.directory)!r} is not a directory")
        if spec.workspace == "clone" and not spec.resumed and not workspace.is_repository(spec.directory):
            raise UsageError(
                f"{str(spec.directory)!r} is not the top of a git repository, so it cannot be cloned",
                hint="use --workspace mount or --workspace copy",
            )

    def _resolve_plan(self, spec: BottleSpec) -> BubblewrapPlan:
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise UnavailableError("bwrap is not installed", hint=INSTALL_HINT)
        return resolve(spec, bwrap, _version(bwrap))

    def launch(self, plan: BubblewrapPlan) -> Bottle:
        """Make the bottle and its sidecars; see the contract."""
        files = plan.spec.files
        with undoing_on_failure(plan), held_lock(files) as lock, launcher.connect(self.paths.runtime) as zygote:
            self._make_directories(plan)
            self.provision(plan)
            launcher.launch(zygote, plan, lock, seccomp.cached_filters(self.paths.state / "cache"))
        return BubblewrapBottle(plan.spec.identity, files)

    def _make_directories(self, plan: BubblewrapPlan) -> None:
        spec = plan.spec
        for directory in (spec.files.runtime, spec.files.logs, spec.files.guest, spec.files.home):
            make_private_dir(directory)
        for name in ("bin", "etc", "lib", "opt", "python", "skills"):
            make_private_dir(spec.files.guest / name)
        if spec.workspace == "mount":
            workspace.make_placeholders(spec.directory, plan.protection)
        elif not spec.resumed:
            _make_workspace(spec)

    def _provision_ca(self, plan: BubblewrapPlan) -> None:
        # The certificate itself is the launch's to write: its key never leaves memory.
        write_guest(plan, {f"etc/{name}": text for name, text in sandbox.guest_etc(plan.sandbox.hostname).items()})

    def _provision_prompt(self, plan: BubblewrapPlan) -> None:
        write_guest(plan, guest.prompt_files(plan.spec))
        write_guest(plan, {f"lib/{source.name}": source.read_text("utf-8") for source in _OWN_CODE})
        make_program_places(plan)
        (plan.spec.files.guest / "start").chmod(0o755)
        if not plan.spec.resumed:
            for name, text in guest.home_files(plan.spec).items():
                make_private_dir((plan.spec.files.home / name).parent)
                write_atomic(plan.spec.files.home / name, text)

    def _provision_skills(self, plan: BubblewrapPlan) -> None:
        replace_skills(plan)

    def _provision_git(self, plan: BubblewrapPlan) -> None:
        write_guest(plan, {"etc/gitconfig": guest.gitconfig(plan.spec)})

    def _provision_supervise(self, plan: BubblewrapPlan) -> None:
        """Nothing yet is provisioned beyond the environment, which names the address."""

    def find(self, identity: str) -> Bottle:
        """Return a handle on a running bottle."""
        files = self.paths.bottle(identity)
        if not is_alive(files):
            raise NotFoundError(f"{identity} does not run", hint=f"bottlemux resume {identity}")
        return BubblewrapBottle(identity, files)

    def enumerate_active(self) -> Sequence[ActiveAgent]:
        """Return the bottles whose lock a supervisor of this backend holds."""
        return [agent for slug in _identities(self.paths) if (agent := self._active(slug)) is not None]

    def _active(self, slug: str) -> ActiveAgent | None:
        files = self.paths.bottle(slug)
        status = read_status(files)
        if status is None or status.backend != self.name or not is_alive(files):
            return None
        running = tuple(name for name, service in status.services.items() if service.state == "running")
        return ActiveAgent(self.name, slug, agent_of(slug), status.started_at, running)

    def prepare_cleanup(self) -> BubblewrapCleanup:
        """Find what no live bottle owns."""
        return find_leftovers(self.paths)

    def describe_cleanup(self, plan: BubblewrapCleanup) -> Sequence[str]:
        """Return a line for each leftover."""
        return plan.lines()

    def cleanup(self, plan: BubblewrapCleanup) -> None:
        """Remove exactly what ``plan`` lists."""
        remove_leftovers(plan)


def _identities(paths: Paths) -> list[str]:
    try:
        return sorted(name for name in os.listdir(paths.bottles) if is_slug(name))
    except FileNotFoundError:
        return []


def _make_workspace(spec: BottleSpec) -> None:
    target = spec.files.workspace
    with contextlib.suppress(OSError):
        target.rmdir()  # the store made it empty
    if spec.workspace == "clone":
        workspace.make_clone(spec.directory, target, f"bottlemux/{spec.identity}")
    else:
        workspace.make_copy(spec.directory, target)


def _version(bwrap: str) -> tuple[int, ...]:
    text = run([bwrap, "--version"], timeout=10.0).stdout.decode(errors="replace")
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
