"""Every attack of the battery, from inside a bottle of every backend, with things of the host to reach for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backends.attack import Verdict, attack
from backends.battery.__main__ import TABLES
from backends.docker.walls import can_be_built
from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from tests.backends.world import World

    from .conftest import Outside

CASES = [case for table in TABLES for case in table.cases]
HARMLESS = [case.id for case in CASES if not case.rough]
MEMORY = 256 << 20
# An operator who is not root cannot enter a container: there is a route to nowhere, and modes guard the mounts.
NEED_WALLS = {"network.routes", "files.mounts"}


@pytest.fixture(scope="module")
def verdicts(attacked: World, outside: Outside) -> dict[str, Verdict]:
    with attacked.launch(directory=attacked.project(repository=True)) as bottle:
        return {one.id: one for one in attack(bottle, targets=outside.targets)}


def test_the_harmless_cases_all_ran(verdicts: dict[str, Verdict]) -> None:
    assert list(verdicts) == HARMLESS


@pytest.mark.parametrize("case", HARMLESS)
def test_case(attacked: World, verdicts: dict[str, Verdict], case: str) -> None:
    has_no_walls = attacked.backend_name == "docker" and not can_be_built()
    expected = "skipped" if has_no_walls and case in NEED_WALLS else "held"
    assert (verdicts[case].outcome, verdicts[case].detail) == (expected, verdicts[case].detail)


def test_ids_are_unique() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("echo pwned", "verdict"),
        ("head -c 200000 /dev/zero | tr '\\0' '['", "verdict"),
        ("yes", "prints too much"),
    ],
    ids=["a word", "nested without end", "without end"],
)
def test_what_is_no_verdict_is_an_error(attacked: World, program: str, told: str) -> None:
    if program == "yes" and attacked.backend_name == "smolmachines":
        pytest.skip("smolvm itself keeps what a program prints")
    with attacked.launch(workspace="copy") as bottle:
        bottle.exec(
            "cd ~/.local/bin || { mkdir -p ~/.local/bin; cd ~/.local/bin; }; "
            f"echo '#!/bin/sh' > python3; cat >> python3 <<'end'\n{program}\nend\nchmod +x python3"
        )
        with pytest.raises(BottlemuxError, match=told):
            attack(bottle)
        assert "yes" not in bottle.exec("cat /proc/[0-9]*/comm").stdout.split()


@pytest.fixture(scope="module")
def flooded(attacked: World, outside: Outside) -> dict[str, Verdict]:
    attacked.write_bottle(
        "small", f"resources: {{cpus: 1, pids: 64, memory: 256m}}\nenv: {{BATTERY_BYTES: '{2 * MEMORY}'}}"
    )
    attacked.write_agent("small", "bottle: small\nprogram: [bash, -l]")
    with attacked.launch() as neighbour, attacked.launch(agent="small") as bottle:
        rough = [case.id for case in CASES if case.rough]
        found = {one.id: one for one in attack(bottle, only=rough, targets=outside.targets)}
        assert bottle.exec("echo alive").stdout == "alive\n"
        assert neighbour.exec("curl -s -o /dev/null -w %{http_code} http://x.example/").stdout == "403"
    return found


class TestFloods:
    """Rough cases, in a small bottle; another one beside it must not notice."""

    @pytest.mark.parametrize("case", [case.id for case in CASES if case.rough])
    def test_is_bounded(self, flooded: dict[str, Verdict], attacked: World, case: str) -> None:
        if "memory" in case:
            plan = attacked.plan(agent="small")
            if any("memory" in warning for warning in plan.warnings):
                pytest.skip("this user cannot limit memory here")
        assert (flooded[case].outcome, flooded[case].detail) == ("held", flooded[case].detail)

    def test_the_proxy_goes_on_serving_under_a_flood_of_connections(self, attacked: World) -> None:
        with attacked.launch() as bottle, attacked.launch(directory=attacked.project("-2")) as other:
            attack(bottle, only=["resources.connections"])
            for one in (bottle, other):
                code = one.exec("curl -s -m 20 -o /dev/null -w %{http_code} http://x.example/").stdout
                assert code == "403"
