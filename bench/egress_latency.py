"""What egress adds to the first event of a streamed answer, against a direct connection and plain mitmproxy.

    python bench/egress_latency.py [REQUESTS]

All three take turns, request by request, on kept connections.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from egress_parts import Client, egress, plain_mitmproxy, upstream

TARGET_MS = 10.0


def main(requests: int) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        upstream(Path(name)) as server,
        egress(Path(name), server) as ours,
        plain_mitmproxy(Path(name)) as plain,
    ):
        clients = {
            "direct": Client(Path(name), server, None, "upstream-ca.pem"),
            "mitmproxy": Client(Path(name), server, plain, "mitmproxy-ca-cert.pem"),
            "egress": Client(Path(name), server, ours, "egress-ca.pem"),
        }
        taken: dict[str, list[float]] = {each: [] for each in clients}
        for client in clients.values():
            client.first_event()
        for _ in range(requests):
            for each, client in clients.items():
                taken[each].append(client.first_event() * 1000)
    median = {each: statistics.median(values) for each, values in taken.items()}
    for each, values in taken.items():
        slow = statistics.quantiles(values, n=20)[-1]
        print(f"{each:<10} first event after {median[each]:.2f} ms (median), {slow:.2f} ms (95 %)")
    added = median["egress"] - median["direct"]
    print(
        f"egress adds {added:.2f} ms (target: at most {TARGET_MS:g} ms), {median['egress'] / median['direct']:.1f} x; "
        f"mitmproxy adds {median['mitmproxy'] - median['direct']:.2f} ms"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
