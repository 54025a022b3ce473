"""A decision has exactly one effect, whoever decides, how often, and whatever dies meanwhile."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bottlemux.approvals import deciding
from bottlemux.approvals.deciding import approve, reject, settle
from bottlemux.approvals.finding import find, open_proposals, store_of
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError
from sidecars.egress.routes import Route, RouteSet
from tests.approvals.support import World, in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecars.supervise.proposal import Proposal


def test_approving_changes_the_policy_and_is_on_record(world: World) -> None:
    proposal = world.propose(
        host="new.example.com", port=8443, scheme="https", methods=["GET"], paths=["/v1/"]
    )
    active = approve(world.paths, proposal.id[:6])
    assert active.state == world.state(proposal) == "active"
    new = RouteSet.load(world.files.routes).routes[-1]
    assert new == Route(host="new.example.com", port=8443, methods=("GET",), paths=("/v1/",))
    (entry,) = world.audit()
    assert (entry["sidecar"], entry["decision"], entry["reason"]) == ("supervise", "allow", "approved")
    assert (entry["host"], entry["port"], entry["method"], entry["path"]) == (
        "new.example.com",
        8443,
        "GET",
        "/v1/",
    )
    assert proposal.id in entry["rule"]
    assert active.decided_by in entry["rule"]
    assert entry["ts"]


def test_rejecting_changes_nothing_and_is_told(world: World) -> None:
    proposal = world.propose()
    rejected = reject(world.paths, proposal.id, reason="not today")
    assert rejected.answer() == {"id": proposal.id, "status": "rejected", "reason": "not today"}
    assert world.hosts() == ["files.example.com"]
    assert [entry["decision"] for entry in world.audit()] == ["block"]


@pytest.mark.parametrize("first", [approve, reject])
@pytest.mark.parametrize("second", [approve, reject])
def test_the_first_decision_stands(
    world: World, first: Callable[..., Proposal], second: Callable[..., Proposal]
) -> None:
    proposal = world.propose()
    state = first(world.paths, proposal.id).state
    with pytest.raises(BottlemuxError, match="was decided before"):
        second(world.paths, proposal.id)
    assert world.state(proposal) == state
    assert len(world.audit()) == 1


def test_any_number_at_once_have_one_effect(world: World) -> None:
    proposal = world.propose()
    before = os.pipe()
    children = []
    for number in range(12):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(before[1])
                os.read(before[0], 1)
                (reject if number % 4 == 3 else approve)(world.paths, proposal.id)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    os.close(before[1])
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    os.close(before[0])
    assert codes.count(0) == 1
    assert len(world.audit()) == 1
    expected = (
        ["files.example.com", "new.example.com"]
        if world.state(proposal) == "active"
        else ["files.example.com"]
    )
    assert world.hosts() == expected


def test_different_proposals_at_once_all_count(world: World) -> None:
    proposals = [
        world.propose(host=f"h{number}.example.com", port=443, scheme="https") for number in range(8)
    ]
    pids = []
    for proposal in proposals:
        if (pid := os.fork()) == 0:
            try:
                approve(world.paths, proposal.id)
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    assert sorted(world.hosts()) == sorted(["files.example.com", *(f"h{n}.example.com" for n in range(8))])


def test_another_content_is_not_approved(world: World) -> None:
    proposal = world.propose()
    file = world.files.proposals / f"{proposal.id}.json"
    record = json.loads(file.read_text())
    record["request"]["host"] = "evil.example.com"
    file.write_text(json.dumps(record))
    with pytest.raises(NotFoundError):
        approve(world.paths, proposal.id)
    assert world.hosts() == ["files.example.com"]


def test_what_was_seen_must_be_what_is_there(world: World) -> None:
    proposal = world.propose()
    with pytest.raises(BottlemuxError, match="not what was shown"):
        approve(world.paths, proposal.id, seen="0" * 64)
    assert world.state(proposal) == "pending"


def test_a_proposal_of_another_bottle_counts_for_that_one_only(world: World) -> None:
    other = World(world.root / "other")
    proposal = other.propose()
    (world.files.proposals / f"{proposal.id}.json").write_bytes(
        (other.files.proposals / f"{proposal.id}.json").read_bytes()
    )
    with pytest.raises(NotFoundError):
        find(world.paths, proposal.id)


def test_a_replayed_file_has_no_second_effect_on_the_policy(world: World) -> None:
    proposal = world.propose()
    approve(world.paths, proposal.id)
    store_of(world.paths, world.slug).save(replace(proposal, state="pending"))
    approve(world.paths, proposal.id)
    assert world.hosts() == ["files.example.com", "new.example.com"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_between_approved_and_applied_is_finished(
    world: World, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = world.propose()
    apply = deciding.apply

    def die(*arguments: object) -> str:
        if moment == "after":
            apply(*arguments)  # type: ignore[arg-type]
        os._exit(9)

    monkeypatch.setattr(deciding, "apply", die)
    assert in_child(lambda: approve(world.paths, proposal.id)) == 9
    monkeypatch.undo()
    assert world.state(proposal) == "approved"
    assert [each.id for each in open_proposals(world.paths)] == [proposal.id]
    with pytest.raises(BottlemuxError, match="was decided before"):
        approve(world.paths, proposal.id)
    assert [each.state for each in settle(world.paths)] == ["active"]
    assert world.hosts() == ["files.example.com", "new.example.com"]
    assert settle(world.paths) == []


def test_a_crash_before_anything_is_saved_leaves_it_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = world.propose()
    monkeypatch.setattr(deciding, "_record", lambda *_: os._exit(9))
    assert in_child(lambda: approve(world.paths, proposal.id)) == 9
    monkeypatch.undo()
    assert world.state(proposal) == "pending"
    assert approve(world.paths, proposal.id).state == "active"


def test_nothing_is_decided_that_cannot_be_recorded(world: World) -> None:
    proposal = world.propose()
    world.files.audit.mkdir()
    with pytest.raises(BottlemuxError, match="nothing was decided"):
        approve(world.paths, proposal.id)
    assert world.state(proposal) == "pending"
    assert world.hosts() == ["files.example.com"]


def test_a_host_that_got_a_credential_since_is_refused(world: World) -> None:
    proposal = world.propose()
    routes = (Route(host="*.example.com", token_ref="TOKEN"),)
    world.files.routes.write_text(RouteSet(routes=routes).dump())
    with pytest.raises(BottlemuxError, match="carry a credential"):
        approve(world.paths, proposal.id)
    assert world.state(proposal) == "pending"


def test_what_no_backend_can_do_stays_open(world: World) -> None:
    proposal = world.propose("capability", packages=["jq"], dockerfile_lines=[])
    with pytest.raises(UnavailableError):
        approve(world.paths, proposal.id)
    assert world.state(proposal) == "pending"
