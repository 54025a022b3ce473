"""Control groups, on directories that only look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.bubblewrap.limits import (
    Groups,
    Wanted,
    find_groups,
    group_directories,
    make_groups,
    remove_groups,
)
from bottlemux.errors import BottlemuxError

WANTED = Wanted(cpus=1.5, memory=1 << 30, pids=64)


def files(root: Path, **content: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (root / name.replace("__", ".")).write_text(text)
    return root


def unified(root: Path, enabled: str = "cpu memory pids") -> Path:
    files(root, cgroup__controllers="cpu memory pids io")
    files(root / "user.slice", cgroup__subtree_control=enabled, cgroup__procs="")
    files(root / "user.slice/shell.scope", cgroup__procs="1")
    membership = root.parent / "membership"
    membership.write_text("0::/user.slice/shell.scope\n")
    return membership


def test_unified(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    groups = find_groups(root, unified(root))
    assert groups == Groups(True, dict.fromkeys(("cpu", "memory", "pids"), root / "user.slice"))
    (directory,) = group_directories(groups, "dev-12345", WANTED)
    for name in ("cpu.max", "memory.max", "memory.swap.max", "pids.max"):
        files(Path(directory), **{name.replace(".", "__"): ""})
    make_groups(groups, "dev-12345", WANTED)
    written = {path.name: path.read_text() for path in Path(directory).iterdir()}
    assert written == {
        "cpu.max": "150000 100000", "memory.max": str(1 << 30), "memory.swap.max": "0", "pids.max": "64",
    }  # fmt: skip


def test_a_controller_that_is_not_enabled_is_missing(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    groups = find_groups(root, unified(root, "pids"))
    assert groups.missing(WANTED) == ["cpu", "memory"]


def test_legacy(tmp_path: Path) -> None:
    for name in ("cpu", "memory", "pids"):
        files(tmp_path / "cgroup" / name / "own", cgroup__procs="")
    membership = tmp_path / "membership"
    membership.write_text("3:pids:/own\n2:memory:/own\n1:cpu,cpuacct:/own\n9:name=systemd:/own\n")
    groups = find_groups(tmp_path / "cgroup", membership)
    assert not groups.unified
    assert groups.missing(WANTED) == []
    assert len(group_directories(groups, "dev-12345", WANTED)) == 3


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../../etc\n"], ids=["empty", "nonsense", "elsewhere"])
def test_odd_memberships(tmp_path: Path, text: str) -> None:
    membership = tmp_path / "membership"
    membership.write_text(text)
    assert find_groups(tmp_path, membership).missing(WANTED) == ["cpu", "memory", "pids"]


def test_no_membership_at_all(tmp_path: Path) -> None:
    assert find_groups(tmp_path, tmp_path / "none").controllers == {}


def test_a_limit_that_cannot_be_set_is_an_error(tmp_path: Path) -> None:
    groups = Groups(unified=True, controllers={"pids": tmp_path / "gone" / "deep"})
    with pytest.raises(BottlemuxError, match="dev-12345"):
        make_groups(groups, "dev-12345", WANTED)


def test_removal_is_lenient(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    (tmp_path / "empty").mkdir()
    remove_groups((str(tmp_path / "full"), str(tmp_path / "gone"), str(tmp_path / "empty")))
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
