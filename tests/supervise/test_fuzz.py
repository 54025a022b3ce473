"""Messages that were bent at random: each gets an answer of the protocol, and the server goes on."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.supervise.support import Server

SEEDS = range(6)
ROUNDS = 60
CALL: dict[str, Any] = {
    "jsonrpc": "2.0", "id": 7, "method": "tools/call",
    "params": {"name": "egress-block", "arguments": {
        "host": "new.example.com", "port": 443, "methods": ["GET"], "paths": ["/v1/"], "reason": "why", "wait_s": 0}},
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**70, 1e308, "", "\ud800", "\x00", "\u202e", "x" * 9000, "../../etc/passwd", "*", "127.0.0.1",
    [], {}, [[]], {"__proto__": 1}, {"a": {"b": {"c": {}}}}, "wait-for-decision", "tools/list", "initialize", "ping",
)  # fmt: skip


def bend(message: dict[str, Any], chance: random.Random) -> None:
    """Change one place of ``message``, at any depth."""
    where: Any = message
    while True:
        key = chance.choice(list(where)) if isinstance(where, dict) else chance.randrange(len(where))
        if isinstance(where[key], dict | list) and where[key] and chance.random() < 0.8:
            where = where[key]
            continue
        match chance.randrange(3):
            case 0:
                where[key] = chance.choice(ODD)
            case 1 if isinstance(where, dict):
                where[str(chance.choice(ODD))[:200]] = chance.choice(ODD)
            case _:
                del where[key]
        return


@pytest.mark.parametrize("seed", SEEDS)
def test_bent_messages(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        message = copy.deepcopy(CALL)
        for _ in range(chance.randrange(1, 4)):
            if message:
                bend(message, chance)
        answer = server.send(json.dumps(message).encode())
        if answer.status == 202:
            continue  # a notification
        assert answer.status in {200, 400, 413}, (message, answer)
        said = answer.message()
        assert said["jsonrpc"] == "2.0"
        assert ("result" in said) != ("error" in said), (message, said)
    assert server.is_well()
    assert all(len(json.dumps(proposal.to_json())) < 20_000 for proposal in server.store.list())
