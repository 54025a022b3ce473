"""CPU a request through egress (policy, credential, scan of a 256 B body, audit) against mitmproxy doing nothing.

    python bench/egress_cpu.py [ROUNDS]

The two take turns, on one kept connection each.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from egress_parts import Client, Part, egress, plain_mitmproxy, upstream

REQUESTS = 200
TARGET = 1.3
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "%s"}]}' % (b"words of a talk " * 12)
BODY = BODY[:-4].ljust(252, b".") + b'"}]}'


def _cost(part: Part, client: Client) -> float:
    before = part.cpu_seconds()
    for _ in range(REQUESTS):
        client.post("/v1/messages?beta=true", BODY)
    return (part.cpu_seconds() - before) / REQUESTS * 1000


def main(rounds: int) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        upstream(Path(name)) as server,
        egress(Path(name), server) as ours,
        plain_mitmproxy(Path(name)) as plain,
    ):
        clients = {
            "egress": (ours, Client(Path(name), server, ours, "egress-ca.pem")),
            "mitmproxy": (plain, Client(Path(name), server, plain, "mitmproxy-ca-cert.pem")),
        }
        costs: dict[str, list[float]] = {each: [] for each in clients}
        for part, client in clients.values():
            _cost(part, client)
        for _ in range(rounds):
            for each, (part, client) in clients.items():
                costs[each].append(_cost(part, client))
        lines = (Path(name) / "audit.jsonl").read_text().count('"allow"')
        assert lines >= rounds * REQUESTS, "the audit has every request"
    found = {each: statistics.median(values) for each, values in costs.items()}
    for each, value in found.items():
        print(
            f"{each:<10} {value:.2f} ms of CPU a request, body of {len(BODY)} B, {rounds} x {REQUESTS} requests"
        )
    print(f"ratio {found['egress'] / found['mitmproxy']:.2f} (target: at most {TARGET})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
