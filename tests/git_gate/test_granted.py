"""A branch that the operator grants may be pushed from that moment, by the gate that runs already."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sidecars.supervise.proposal import Proposal
from sidecars.supervise.store import ProposalStore

from .conftest import Gate, free_port, git

if TYPE_CHECKING:
    from .conftest import World


def test_a_granted_branch_may_be_pushed_at_once_and_no_other(world: World) -> None:
    proposals = world.tmp / "proposals"
    proposals.mkdir()
    first = world.gate(branches=("bottlemux/*",))
    gate = Gate(replace(first.spec, proposals_dir=proposals), free_port(), world.tmp / "granted.sock").start()
    world.gates.append(gate)
    work = world.checkout(gate)
    new = world.commit(work)
    store = ProposalStore(proposals, gate.spec.slug)
    asked = Proposal(gate.spec.slug, "git", {"remote": world.remote.name, "branch": "feature/x"}, "why not")
    elsewhere = Proposal(gate.spec.slug, "git", {"remote": "other", "branch": "main"}, "x", state="active")
    store.save(asked)
    store.save(elsewhere)
    assert git(work, "push", "origin", "HEAD:refs/heads/feature/x", check=False).returncode != 0
    store.save(replace(asked, state="active"))
    git(work, "push", "origin", "HEAD:refs/heads/feature/x")
    assert world.upstream_ref("refs/heads/feature/x") == new
    for ref in ("feature/xy", "feature/x/y", "main"):
        assert git(work, "push", "origin", f"HEAD:refs/heads/{ref}", check=False).returncode != 0
