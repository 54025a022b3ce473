"""``bottlemux list active`` with 1 and with 20 bottles against ``python -c pass``.

python bench/listing.py [REPETITIONS]
"""

from __future__ import annotations

import sys

import common

TARGET = 8.0
BOTTLES = 20


def measure(user: common.User, count: int) -> dict[str, float]:
    """Return the medians of the listing and of its floor."""
    listing = user.argv("list", "active")
    floor = [sys.executable, "-c", "pass"]
    return common.interleaved(
        count,
        {
            "list": lambda: common.timed(lambda: common.run(listing, cwd=user.project, env=user.environ)),
            "floor": lambda: common.timed(lambda: common.run(floor, cwd=user.project, env=user.environ)),
        },
    )


def main() -> int:
    count = common.repetitions(20)
    verdicts: list[bool] = []
    ratios: list[float] = []
    print(f"list active; medians of {count}, interleaved")
    with common.user() as user:
        user.manifest("bottles", "plain", "backend: bubblewrap")
        user.manifest("agents", "plain", "bottle: plain\nprogram: [sleep, '100000']")
        for bottles in (1, BOTTLES):
            while len(user.run("list", "active").splitlines()) < bottles:
                user.start("plain")
            medians = measure(user, count)
            common.milliseconds(f"list active, {bottles} running", medians["list"])
            common.milliseconds("python -c pass", medians["floor"])
            ratios.append(medians["list"] / medians["floor"])
            verdicts.append(common.verdict(f"ratio, {bottles} running", ratios[-1], TARGET))
    print(f"{BOTTLES} bottles cost {ratios[1] / ratios[0]:.2f} x what 1 costs")
    return common.exit_code(verdicts)


if __name__ == "__main__":
    sys.exit(main())
