"""What the far end of a link may change here, and what only the operator may."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.docker.replica import OUT_OF_REACH, Replica
from bottlemux.files import make_private_dir
from bottlemux.paths import BottlePaths
from bottlemux.state.liveness import read_status
from sidecars.mirror import Followed
from sidecars.supervise.proposal import Proposal
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from pathlib import Path

SLUG = "dev-abcde"


@pytest.fixture
def files(tmp_path: Path) -> BottlePaths:
    made = BottlePaths(tmp_path / "state", tmp_path / "run")
    for directory in (made.state, made.logs, made.proposals):
        make_private_dir(directory)
    return made


@pytest.fixture
def replica(files: BottlePaths) -> Replica:
    return begun(files)


def begun(files: BottlePaths) -> Replica:
    made = Replica(files, SLUG)
    made.begin()
    return made


def proposal(**changes: object) -> Proposal:
    made = Proposal(SLUG, "egress", {"host": "a.example"}, "because")
    return replace(made, **changes)  # type: ignore[arg-type]  # pyright: ignore


def offered(replica: Replica, one: Proposal, name: str = "") -> None:
    replica.replace(f"proposals/{name or one.id}.json", json.dumps(one.to_json()).encode())


@pytest.mark.parametrize(
    "name",
    ["../escape.json", "proposals/../../escape.json", "proposals/x.json", "metadata.json", "routes.json",
     "home/.bashrc", "/etc/passwd", "proposals/0123456789ab.json.wait"],
)  # fmt: skip
def test_no_other_file_is_replaced(replica: Replica, files: BottlePaths, name: str) -> None:
    before = sorted(files.state.parent.rglob("*"))
    with pytest.raises(ValueError, match="no file of a bottle"):
        replica.replace(name, b"{}")
    assert sorted(files.state.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["logs/../audit.jsonl", "logs/a/b.log", "logs/.log", "metadata.json", "logs/x.txt"]
)
def test_no_other_file_is_appended_to(replica: Replica, name: str) -> None:
    with pytest.raises(ValueError, match="no file of a bottle"):
        replica.append(name, [1, 2], b"x")


def test_a_request_is_taken_once_and_its_decision_stays(replica: Replica, files: BottlePaths) -> None:
    asked = proposal()
    store = ProposalStore(files.proposals, SLUG)
    offered(replica, asked)
    assert store.load(asked.id) == asked
    store.save(replace(asked, state="rejected"))
    offered(replica, asked)
    assert store.load(asked.id).state == "rejected"


@pytest.mark.parametrize("state", ["approved", "active", "failed", "rejected"])
def test_the_other_end_decides_nothing(replica: Replica, files: BottlePaths, state: str) -> None:
    asked = proposal(state=state)
    offered(replica, asked)
    assert ProposalStore(files.proposals, SLUG).list() == []
    pending = proposal()
    offered(replica, pending)
    offered(replica, replace(pending, state="active"))
    assert [one.state for one in ProposalStore(files.proposals, SLUG).list()] == ["pending"]


def test_a_request_of_another_bottle_or_name_is_none(replica: Replica, files: BottlePaths) -> None:
    offered(replica, proposal(slug="dev-zzzzz"))
    offered(replica, proposal(), name="0123456789ab")
    assert ProposalStore(files.proposals, SLUG).list() == []


def test_only_what_is_decided_is_sent(replica: Replica, files: BottlePaths) -> None:
    pending, active = proposal(), proposal(reason="other", state="active")
    store = ProposalStore(files.proposals, SLUG)
    store.save(pending)
    store.save(active)
    files.routes.write_text("{}")
    assert [one["file"] for one in replica.decided()] == ["routes.json", f"proposals/{active.id}.json"]
    assert list(replica.decided()) == []
    store.save(replace(pending, state="rejected"))
    assert [one["file"] for one in replica.decided()] == [f"proposals/{pending.id}.json"]


def test_a_wait_is_seen_as_long_as_it_lasts(replica: Replica, files: BottlePaths) -> None:
    asked = proposal()
    store = ProposalStore(files.proposals, SLUG)
    store.save(asked)
    replica.await_([asked.id, "../x"])
    assert store.is_awaited(asked.id)
    replica.await_([])
    assert not store.is_awaited(asked.id)


def test_the_record_is_whole_whenever_a_link_dies(files: BottlePaths) -> None:
    first = begun(files)
    first.append("audit.jsonl", [7, 4], b"one\n")
    first.append("audit.jsonl", [7, 10], b"two\nth")  # it dies with half a line
    assert json.loads(files.link.read_bytes())["positions"]["audit.jsonl"] == [7, 8]
    with files.audit.open("ab") as stream:
        stream.write(b"decided here\nthree\n")  # and after a line, before it could note that
    second = begun(files)
    assert second.positions() == {"audit.jsonl": (7, 8)}
    second.append("audit.jsonl", [7, 19], b"three\nfour\n")
    assert files.audit.read_text().splitlines() == ["one", "two", "decided here", "three", "four"]


def test_a_record_that_was_moved_aside_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("one\n")
    followed = Followed(path)
    assert b"".join(followed.news()) == b"one\n"
    with path.open("a") as stream:
        stream.write("two\n")
    path.rename(tmp_path / "audit.jsonl.1")
    path.write_text("three\n")
    assert b"".join(followed.news()) == b"two\nthree\n"
    assert list(followed.news()) == []
    again = Followed(path, followed.position)
    with path.open("a") as stream:
        stream.write("four\n")
    assert b"".join(again.news()) == b"four\n"


def test_a_report_names_no_process_of_this_machine(replica: Replica, files: BottlePaths) -> None:
    report = {
        "supervisor_pid": 1,
        "supervisor_start": 5,
        "started_at": "x",
        "backend": "docker@far",
        "init_pid": 1,
        "services": {"egress": {"pid": 7, "restarts": 0, "state": "running"}},
    }
    replica.replace("status.json", json.dumps(report).encode())
    status = read_status(files)
    assert status is not None
    assert (status.supervisor_pid, status.init_pid, status.problem) == (0, None, "")
    replica.report_problem("away")
    status = read_status(files)
    assert status is not None
    assert (status.problem, status.services["egress"].state) == ("away", OUT_OF_REACH)
