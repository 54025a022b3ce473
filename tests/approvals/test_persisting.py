"""What --persist writes: the addition, and not a byte else."""

from __future__ import annotations

from typing import Any

import pytest

from bottlemux.approvals.deciding import approve
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.manifest.loader import load_bottle
from tests.approvals.support import KEY, World

ROUTE: dict[str, Any] = {"host": "new.example.com", "port": 443, "scheme": "https", "paths": ["/v1/"]}

STYLES = {
    "block": """\
# top
supervise: true   # yes
egress:
  routes:
    - host: a.example.com  # first
      paths: [/x/]  # some

# next
env: {A: b}
""",
    "unindented": """\
egress:
  routes:
  - host: a.example.com

  # a remark
env:
    A: b
""",
    "flow": "egress: {routes: [{host: a.example.com}]}  # short\nenv: {A: b}\n",
    "flow list": """\
egress:
  routes: [
    {host: a.example.com},  # why
  ]
env: {A: b}
""",
    "nested block": """\
egress:
  routes:
    - host: a.example.com
      methods:
        - GET
        - POST   # both
supervise: true
""",
    "empty list": "egress:\n  routes: []\n",
    "empty egress": "egress: {}\nenv: {A: b}\n",
    "no egress": "env: {A: b}  # last\n",
    "nothing": "",
    "comment only": "# nothing yet\n",
    "quoted": 'egress:\n  routes:\n    - "host": "a.example.com"\n',
}


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["unix", "dos"])
def test_a_route_is_added_and_nothing_else_changes(world: World, style: str, newline: str) -> None:
    world.manifest(STYLES[style])
    world.manifest_file.write_bytes(world.manifest_file.read_bytes().replace(b"\n", newline.encode()))
    world.manifest_file.chmod(0o640)
    before = world.manifest_file.read_bytes().decode()
    old = load_bottle(world.paths, "dev")
    approve(world.paths, world.propose(**ROUTE).id, persist=True)
    after = world.manifest_file.read_bytes().decode()
    new = load_bottle(world.paths, "dev")
    assert new.egress.routes[:-1] == old.egress.routes
    assert (new.egress.routes[-1].host, new.egress.routes[-1].paths) == ("new.example.com", ("/v1/",))
    assert new.model_copy(update={"egress": old.egress}) == old
    remaining = iter(after)
    if style != "empty egress":
        assert all(character in remaining for character in before), "something was taken away"
    assert comments(before) == comments(after)
    assert newline == "\n" or "\n" not in after.replace("\r\n", "")
    assert world.manifest_file.stat().st_mode & 0o777 == 0o640


def test_the_addition_stands_where_one_would_write_it(world: World) -> None:
    world.manifest(STYLES["block"])
    approve(world.paths, world.propose(**ROUTE).id, persist=True)
    text = STYLES["block"].replace("# some\n", "# some\n    - host: new.example.com\n      paths: [/v1/]\n")
    assert world.manifest_file.read_text() == f"---\n{text}---\nThe body.\n\n  Kept.\n"


def test_a_branch_is_added(world: World) -> None:
    front = (
        "git:\n  - name: origin\n    upstream: ssh://git@example.com/o/r.git\n    identity_file: /k\n"
        f'    known_host_key: {KEY}\n    branches: ["bottlemux/*"]  # ours\n'
    )
    world.manifest(front)
    approve(world.paths, world.propose("git", remote="origin", branch="feature/x").id, persist=True)
    assert world.manifest_file.read_text() == (
        f"---\n{front.replace('*"]', '*", feature/x]')}---\nThe body.\n\n  Kept.\n"
    )


def test_a_link_to_the_manifest_stays_one(world: World) -> None:
    real = world.root / "dotfiles.md"
    world.manifest_file.rename(real)
    world.manifest_file.symlink_to(real)
    approve(world.paths, world.propose(**ROUTE).id, persist=True)
    assert world.manifest_file.is_symlink()
    assert "new.example.com" in real.read_text()


def test_a_built_in_bottle_is_not_changed(world: World) -> None:
    world.manifest_file.unlink()
    from bottlemux.state.store import BottleStore

    record = BottleStore(world.paths).create("demo", bottle="demo", backend="bubblewrap", cwd=world.root)
    world.slug = record.identity
    proposal = world.propose(**ROUTE)
    with pytest.raises(UsageError, match="built in") as caught:
        approve(world.paths, proposal.id, persist=True)
    assert "demo.md" in caught.value.hint
    assert world.state(proposal) == "pending"
    assert approve(world.paths, proposal.id).state == "active"


def test_a_manifest_that_is_broken_by_now_refuses_before_anything_happens(world: World) -> None:
    proposal = world.propose(**ROUTE)
    world.manifest("egress: [\n")
    with pytest.raises(BottlemuxError):
        approve(world.paths, proposal.id, persist=True)
    assert world.state(proposal) == "pending"
    assert world.hosts() == ["files.example.com"]


def test_a_host_with_a_credential_is_not_persisted(world: World) -> None:
    world.manifest(
        "egress:\n  routes:\n    - host: new.example.com\n      token_ref: T\n      paths: [/x/]\n"
    )
    with pytest.raises(BottlemuxError):
        approve(world.paths, world.propose(**ROUTE).id, persist=True)
    assert "/v1/" not in world.manifest_file.read_text()
