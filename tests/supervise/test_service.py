"""The protocol package's own client against a running server, and what the tools do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import McpError

from sidecars.supervise import desk
from sidecars.supervise.proposal import now
from tests.supervise.support import Server, running, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

ASK = {"host": "new.example.com", "reason": "the task needs it"}


def with_client[T](server: Server, act: Callable[[ClientSession], Awaitable[T]]) -> T:
    async def run() -> T:
        async with (
            httpx.AsyncClient(headers={"Host": "supervise:9100"}, timeout=30) as http,
            streamable_http_client(f"http://127.0.0.1:{server.port}/", http_client=http) as streams,
            ClientSession(streams[0], streams[1]) as session,
        ):
            await session.initialize()
            return await act(session)

    return asyncio.run(run())


def decide(server: Server, identifier: str, **changes: Any) -> None:
    with server.store.locked():
        server.store.save(replace(server.store.load(identifier), decided_at=now(), **changes))


def test_own_client_lists_and_calls_tools(server: Server) -> None:
    async def act(session: ClientSession) -> tuple[list[str], Any]:
        tools = await session.list_tools()
        result = await session.call_tool("egress-block", ASK)
        return [tool.name for tool in tools.tools], result

    names, result = with_client(server, act)
    assert names == ["list-egress-routes", "egress-block", "git-block", "wait-for-decision"]
    answer = json.loads(result.content[0].text)
    assert set(answer) == {"id", "status", "reason"}
    assert answer["status"] == "pending"
    assert [proposal.id for proposal in server.store.list()] == [answer["id"]]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("nonsense", {}), ("egress-block", {**ASK, "token_ref": "API_TOKEN"}), ("egress-block", {"reason": "x"}),
     ("wait-for-decision", {"id": "x", "wait_s": "1"}), ("list-egress-routes", {"all": True})],
)  # fmt: skip
def test_unknown_tools_and_arguments_are_protocol_errors(
    server: Server, tool: str, arguments: dict[str, Any]
) -> None:
    async def act(session: ClientSession) -> int:
        with pytest.raises(McpError) as caught:
            await session.call_tool(tool, arguments)
        return caught.value.error.code

    assert with_client(server, act) == -32602
    assert server.store.list() == []


def test_capability_is_offered_where_it_can_be_had(tmp_path: Path) -> None:
    with running(tmp_path, can_rebuild=True) as server:
        answer = server.call("capability-block", packages=["jq"], reason="to read JSON")
        assert answer["status"] == "pending"
        assert server.call("capability-block", dockerfile_lines=["FROM evil"], reason="x")["refused"]


def test_elsewhere_it_is_not_listed_and_who_asks_is_told(server: Server) -> None:
    async def listed(session: ClientSession) -> list[str]:
        return [tool.name for tool in (await session.list_tools()).tools]

    assert "capability-block" not in with_client(server, listed)
    answer = server.call("capability-block", packages=["jq"], reason="to read JSON")
    assert (answer["status"], answer["refused"]) == ("rejected", True)
    assert "no image to which programs could be added" in answer["reason"]
    assert [line["reason"] for line in server.audit()] == ["not-askable"]


def test_routes_are_listed_without_secrets(server: Server) -> None:
    routes = server.call("list-egress-routes")["routes"]
    assert [route["host"] for route in routes][:2] == ["files.example.com", "api.example.com"]
    assert "token_ref" not in json.dumps(routes)


def test_a_waiting_call_returns_with_the_decision(server: Server) -> None:
    async def act(session: ClientSession) -> Any:
        asking = asyncio.create_task(session.call_tool("egress-block", {**ASK, "wait_s": 20}))
        while not (known := server.store.list()) or not server.store.is_awaited(known[0].id):
            await asyncio.sleep(0.01)
        decide(server, known[0].id, state="rejected", note="not today")
        return await asking

    answer = json.loads(with_client(server, act).content[0].text)
    assert (answer["status"], answer["reason"]) == ("rejected", "not today")
    assert not server.store.is_awaited(answer["id"])


def test_waiting_is_bounded_and_continues_with_the_id(server: Server) -> None:
    first = server.call("egress-block", **ASK, wait_s=0.1)
    assert first["status"] == "pending"
    decide(server, first["id"], state="active")
    assert server.call("wait-for-decision", id=first["id"], wait_s=10)["status"] == "active"


def test_a_client_that_goes_away_does_not_wait_for_ever(server: Server) -> None:
    body = {"name": "egress-block", "arguments": {**ASK, "wait_s": 300}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": body}
    with pytest.raises(TimeoutError):
        server.send(json.dumps(message).encode(), timeout=1)
    (proposal,) = server.store.list()
    until(lambda: not server.store.is_awaited(proposal.id), "the end of waiting")


def test_identical_requests_are_one_whatever_the_reason(server: Server) -> None:
    first = server.call("egress-block", **ASK)
    again = server.call("egress-block", host="NEW.example.com.", port=443, reason="other words")
    assert again["id"] == first["id"]
    decide(server, first["id"], state="rejected", note="no")
    assert server.call("egress-block", **ASK)["status"] == "rejected"
    assert len(server.store.list()) == 1


def test_floods_are_limited(server: Server) -> None:
    answers = [
        server.call("egress-block", host=f"h{number}.example.com", reason="x")
        for number in range(desk.MAX_OPEN + 3)
    ]
    assert [answer["status"] for answer in answers].count("pending") == desk.MAX_OPEN
    assert all(answer.get("refused") for answer in answers[desk.MAX_OPEN :])
    assert server.is_well()


def test_an_agent_knows_only_its_own_proposals(server: Server) -> None:
    for identifier in ("0" * 12, "../../../x", "lock", ""):
        assert server.call("wait-for-decision", id=identifier, wait_s=0)["refused"]


def test_what_cannot_be_written_is_no_success(server: Server, tmp_path: Path) -> None:
    (tmp_path / "proposals").rename(tmp_path / "gone")
    answer = server.call("egress-block", **ASK)
    assert answer["refused"]
    assert "could not be written" in answer["reason"]
    (tmp_path / "gone").rename(tmp_path / "proposals")
    assert server.call("egress-block", **ASK)["status"] == "pending"


def test_what_cannot_be_recorded_is_no_success(server: Server) -> None:
    server.spec.audit_file.mkdir()
    assert server.call("egress-block", **ASK)["refused"]
    assert server.store.list() == []


def test_every_refusal_and_request_is_on_record(server: Server) -> None:
    server.call("egress-block", **ASK)
    server.call("egress-block", host="169.254.169.254", reason="x")
    asked, refused = server.audit()
    assert (asked["sidecar"], asked["decision"], asked["host"]) == ("supervise", "warn", "new.example.com")
    assert (refused["decision"], refused["reason"], refused["rule"]) == ("block", "not-askable", "address")


def test_what_a_rebuild_would_add_is_on_record(tmp_path: Path) -> None:
    with running(tmp_path, can_rebuild=True) as server:
        server.call("capability-block", packages=["jq"], dockerfile_lines=["RUN echo a"], reason="x")
        server.call("capability-block", dockerfile_lines=["RUN echo b"], reason="x")
        assert [(entry["method"], entry["path"]) for entry in server.audit()] == [
            ("capability", "jq; RUN echo a"),
            ("capability", "RUN echo b"),
        ]
