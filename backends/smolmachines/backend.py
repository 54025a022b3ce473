"""The microVM backend: sidecars are processes of this machine, the agent has a kernel of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar

from backends.contract import Availability
from backends.local import LocalBackend
from bottlemux.errors import BottlemuxError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.contract import ActiveAgent, Bottle, BottleSpec
    from backends.smolmachines.leftovers import SmolmachinesCleanup
    from backends.smolmachines.plan import SmolmachinesPlan
    from backends.smolmachines.tool import Smolvm

_KVM = "/dev/kvm"


class SmolmachinesBackend(LocalBackend["SmolmachinesPlan", "SmolmachinesCleanup"]):
    """Bottles as machines of smolvm without any network device: only the sidecars' sockets lead out.

    Listing asks smolvm once, and only where a bottle of this backend lives.
    """

    name: ClassVar[str] = "smolmachines"

    def is_available(self) -> Availability:
        """Look for smolvm, KVM and an ordinary user. No boot is tried: it takes an image, and seconds."""
        try:
            _check_machine()
        except BottlemuxError as error:
            return Availability(available=False, reason=error.message, hint=error.hint)
        return Availability(available=True)

    def _validate(self, spec: BottleSpec) -> None:
        from backends import boundaries

        boundaries.check_directory(spec)

    def _resolve_plan(self, spec: BottleSpec) -> SmolmachinesPlan:
        from backends.smolmachines import images
        from backends.smolmachines.plan import resolve

        return resolve(spec, _check_machine(), images.named(spec.resolved.bottle))

    def launch(self, plan: SmolmachinesPlan) -> Bottle:
        """Make the bottle and its sidecars; see the contract."""
        from backends import host_files, supervising
        from backends.smolmachines import images, launcher, places

        with host_files.held_lock(plan.spec.files) as lock:
            try:
                with supervising.connect(self.paths.runtime) as parent:
                    image = plan.image or images.obtain(self.paths, plan.spec.resolved.bottle, _say)
                    places.make_directories(plan)
                    places.write_smolfile(plan, image)
                    authority = supervising.make_authority(plan.spec)
                    self.provision(plan, authority)
                    launcher.launch(parent, plan, authority, lock)
            except BaseException:
                self._undo(plan)
                raise
        return self._bottle(plan.spec.identity)

    def _undo(self, plan: SmolmachinesPlan) -> None:
        """Remove what a failed launch made; the machine of a bottle that is brought back keeps its disk."""
        from backends.smolmachines import places
        from backends.smolmachines.tool import Smolvm

        try:
            smolvm = Smolvm(plan.smolvm)
            if plan.spec.resumed:
                smolvm.stop(plan.machine)
            else:
                smolvm.delete(plan.machine)
        except BottlemuxError as error:
            _say(f"the machine {plan.machine} is left: {error.message}; bottlemux cleanup removes it")
        finally:
            places.remove(plan)

    def _provision_prompt(self, plan: SmolmachinesPlan) -> None:
        from backends.smolmachines import places

        places.provision_prompt(plan)

    def _provision_supervise(self, plan: SmolmachinesPlan) -> None:
        from backends.smolmachines import places

        places.provision_supervise(plan)

    def _bottle(self, identity: str) -> Bottle:
        from backends.smolmachines import tool
        from backends.smolmachines.bottle import SmolmachinesBottle

        return SmolmachinesBottle(identity, self.paths, tool.find())

    def enumerate_active(self) -> Sequence[ActiveAgent]:
        """Return the bottles whose lock a supervisor of this backend holds; a machine's odd state is shown."""
        from backends.smolmachines import names

        held = dict(self._all_held())
        if not held:
            return []
        states = {machine.name: machine.state for machine in _smolvm().machines()}
        return [
            self._active(slug, status, _oddities(states.get(names.machine_name(self.paths, slug), "gone")))
            for slug, status in held.items()
        ]

    def prepare_cleanup(self) -> SmolmachinesCleanup:
        """Find what no live bottle owns; nothing where smolvm is not installed."""
        from backends.smolmachines.leftovers import SmolmachinesCleanup, find_leftovers

        try:
            return find_leftovers(_smolvm(), self.paths)
        except UnavailableError:
            return SmolmachinesCleanup(self.paths)

    def describe_cleanup(self, plan: SmolmachinesCleanup) -> Sequence[str]:
        """Return a line for each leftover."""
        return plan.lines()

    def cleanup(self, plan: SmolmachinesCleanup) -> None:
        """Remove exactly what ``plan`` lists."""
        from backends.smolmachines.leftovers import remove_leftovers

        if plan.lines():
            remove_leftovers(_smolvm(), plan)

    def discard(self, identity: str) -> None:
        """Delete the machine of an ended bottle, and with it what the agent installed there."""
        from backends.smolmachines import names

        _smolvm().delete(names.machine_name(self.paths, identity))


def _smolvm() -> Smolvm:
    from backends.smolmachines import tool

    return tool.Smolvm(tool.find())


def _check_machine() -> str:
    """Return where smolvm is; raise ``UnavailableError`` where something is missing without which none boots."""
    from backends.smolmachines import tool

    program = tool.find()
    if os.getuid() == 0:
        raise UnavailableError(
            "smolvm gives machines of root a user of their own, which cannot read what a bottle is shown",
            hint="use an ordinary user, or another backend",
        )
    if not os.path.exists(_KVM):  # noqa: PTH110
        raise UnavailableError(
            "there is no /dev/kvm", hint="enable virtualisation in the firmware, then: sudo modprobe kvm"
        )
    if not os.access(_KVM, os.R_OK | os.W_OK):
        raise UnavailableError(
            "this user may not open /dev/kvm", hint="sudo usermod -aG kvm $USER, then log in again"
        )
    if not tool.mounts_sockets(program):
        raise UnavailableError(
            f"{tool.Smolvm(program).version()} is too old: it cannot show a socket to a machine, "
            "which gets no network instead",
            hint="pip install --upgrade smolmachines",
        )
    return program


def _oddities(state: str) -> list[str]:
    return [] if state == "running" else [f"machine {state}"]


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
