"""200 MB down and up through egress: its peak memory against idle, its throughput against plain mitmproxy.

    python bench/egress_transfer.py [ROUNDS]

The download is on a route with a credential, so it is searched for it; the upload is on a route without scanning, for
what is scanned is bounded in size. Then a scanned body of the largest size allowed is sent, while small requests go on.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from egress_parts import BLOCK, Client, Part, egress, plain_mitmproxy, upstream

BLOCKS = 200_000_000 // BLOCK
MEMORY_TARGET = 1.3
THROUGHPUT_TARGET = 0.8
SCANNED_BYTES = 10 * 1024 * 1024
SAMPLE_S = 0.1


class PeakPss:
    """The largest proportional set size of a process, by samples."""

    def __init__(self, part: Part) -> None:
        self.value = part.pss()
        self._part = part
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.value = max(self.value, self._part.pss())

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self.value


def _memory(part: Part, client: Client) -> None:
    for name, transfer in {"download": client.download, "upload": client.upload}.items():
        idle, idle_pss = part.memory("VmRSS"), part.pss()
        part.forget_peak()
        sampling = PeakPss(part)
        transfer(BLOCKS)
        pss = sampling.stop()
        peak = part.memory("VmHWM")
        print(
            f"{name:<9} memory: idle {idle / 1024:.1f} MiB, peak {peak / 1024:.1f} MiB, ratio {peak / idle:.2f}; "
            f"PSS {idle_pss / 1024:.1f} to {pss / 1024:.1f} MiB, ratio {pss / idle_pss:.2f} "
            f"(target: at most {MEMORY_TARGET})"
        )


def _throughput(clients: dict[str, Client], rounds: int) -> None:
    for name in ("download", "upload"):
        seconds: dict[str, list[float]] = {each: [] for each in clients}
        for _ in range(rounds):
            for each, client in clients.items():
                seconds[each].append(getattr(client, name)(BLOCKS))
        speed = {each: BLOCKS * BLOCK / statistics.median(values) / 1e6 for each, values in seconds.items()}
        ratio = speed["egress"] / speed["mitmproxy"]
        text = ", ".join(f"{each} {value:.0f} MB/s" for each, value in speed.items())
        print(f"{name:<9} throughput: {text}, ratio {ratio:.2f} (target: at least {THROUGHPUT_TARGET})")


def _large_body(part: Part, hostile: Client, other: Client) -> None:
    body = (b"def f(password):\n    return token == 'x' * 40 and key\\u0041\n" * (SCANNED_BYTES // 50))[
        :SCANNED_BYTES
    ]
    part.forget_peak()
    idle = part.memory("VmRSS")
    taken: list[float] = []
    thread = threading.Thread(target=hostile.post, args=("/v1/messages", body))
    start = time.perf_counter()
    thread.start()
    while thread.is_alive():
        before = time.perf_counter()
        other.post("/v1/messages", b"{}")
        taken.append(time.perf_counter() - before)
    total = time.perf_counter() - start
    print(
        f"a scanned body of {len(body) / 1e6:.1f} MB took {total:.2f} s; meanwhile {len(taken)} other requests, "
        f"median {statistics.median(taken) * 1000:.1f} ms, slowest {max(taken) * 1000:.0f} ms; "
        f"memory {idle / 1024:.0f} to {part.memory('VmHWM') / 1024:.0f} MiB"
    )


def main(rounds: int) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        upstream(Path(name)) as server,
        egress(Path(name), server) as ours,
        plain_mitmproxy(Path(name)) as plain,
    ):
        clients = {
            "egress": Client(Path(name), server, ours, "egress-ca.pem"),
            "mitmproxy": Client(Path(name), server, plain, "mitmproxy-ca-cert.pem"),
        }
        for client in clients.values():
            client.post("/v1/messages", b"{}")
        _memory(ours, clients["egress"])
        _throughput(clients, rounds)
        _large_body(ours, clients["egress"], Client(Path(name), server, ours, "egress-ca.pem"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
