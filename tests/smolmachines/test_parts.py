"""All of the microVM backend that needs no machine that boots."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.smolmachines import (
    backend,
    images,
    launcher,
    leftovers,
    names,
    places,
    plan,
    settings,
    smolfile,
    tool,
)
from bottlemux.errors import BottlemuxError, UnavailableError, UsageError
from bottlemux.files import make_private_dir
from bottlemux.state.liveness import RuntimeStatus, hold, write_status
from tests.backends.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.contract import BottleSpec


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, "smolmachines")


@pytest.fixture
def made(world: World) -> plan.SmolmachinesPlan:
    return plan.resolve(world.spec(workspace="copy"), "/bin/smolvm", "/images/root")


def machine(**changes: object) -> dict[str, object]:
    known = {
        "name": "m",
        "state": "running",
        "pid": 7,
        "cpus": 1,
        "memory_mib": 512,
        "image": None,
        "labels": {},
    }
    return {**known, **changes}


class TestNames:
    @pytest.mark.parametrize("slug", ["a-00000", "a.b-00000", "a_b-00000", "a--b-00000", "x" * 32 + "-00000"])
    def test_are_what_smolvm_takes(self, world: World, slug: str) -> None:
        name = names.machine_name(world.paths, slug)
        assert name[0].isalnum()
        assert name[-1].isalnum()
        assert "--" not in name
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert len(name) <= 128

    def test_differ_where_slugs_or_state_directories_do(self, world: World) -> None:
        other = replace(world.paths, state=world.paths.state / "other")
        slugs = ["a.b-00000", "a-b-00000", "a_b-00000"]
        found = {names.machine_name(paths, slug) for paths in (world.paths, other) for slug in slugs}
        assert len(found) == 6


class TestListing:
    def test_is_read(self) -> None:
        (found,) = tool.parse_machines(json.dumps([machine(labels={"a": "b"}, state="frozen", pid=None)]))
        assert (found.name, found.state, found.pid, dict(found.labels)) == ("m", "frozen", None, {"a": "b"})

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "m"}]', "No machines found"], ids=str)
    def test_nonsense_is_an_error(self, text: str) -> None:
        with pytest.raises(BottlemuxError, match="cannot be read"):
            tool.parse_machines(text or "x")


class TestSmolfile:
    def test_says_what_the_plan_says_and_never_asks_for_a_network(self, made: plan.SmolmachinesPlan) -> None:
        read = tomllib.loads(smolfile.render(made, '/images/"root"'))
        assert read["image"] == '/images/"root"'
        assert read["net"] is False
        assert (read["cpus"], read["memory"]) == (1, 768)
        assert [volume.split(":")[1] for volume in read["volumes"]] == [
            "/run/bottlemux",
            "/home/node",
            "/workspace",
        ]
        assert read["volumes"][0].endswith(":ro")
        assert set(read) == {"image", "workdir", "cpus", "memory", "net", "volumes"}

    def test_holds_no_variable_and_no_secret(self, world: World) -> None:
        world.write_bottle("dev", "egress: {routes: [{host: a.example, token_ref: TOKEN}]}\nenv: {A: value}")
        text = smolfile.render(plan.resolve(world.spec(workspace="copy"), "s", "i"), "i")
        assert "TOKEN" not in text
        assert "value" not in text


class TestPlan:
    def test_a_colon_in_a_path_is_refused(self, world: World) -> None:
        directory = world.root / "a:b"
        directory.mkdir()
        with pytest.raises(UsageError, match="colon"):
            plan.resolve(world.spec(directory=directory), "s", "i")

    def test_a_socket_with_a_long_name_is_refused(self, world: World) -> None:
        spec = world.spec(workspace="copy")
        long = replace(spec, paths=replace(spec.paths, runtime=spec.paths.runtime / ("x" * 100)))
        with pytest.raises(UsageError, match="too long for a socket"):
            plan.resolve(long, "s", "i")

    def test_only_the_sidecars_of_the_bottle_and_its_keeper_have_sockets(self, world: World) -> None:
        world.write_bottle("dev", "supervise: false")
        made = plan.resolve(world.spec(workspace="copy"), "s", "i")
        assert list(made.sockets.values()) == [
            "/run/bottlemux-sockets/egress.sock",
            "/run/bottlemux-sockets/keeper.sock",
        ]


class TestImages:
    def test_a_directory_without_what_is_needed_is_refused(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "root" / "bin").mkdir(parents=True)
        (tmp_path / "root" / "bin" / "sh").touch()
        world.write_bottle("dev", f"image: {tmp_path / 'root'}")
        with pytest.raises(UsageError, match="no usr/bin/python3"):
            images.named(world.spec().resolved.bottle)

    def test_a_root_file_system_becomes_an_image(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("content")
        with tarfile.open(tmp_path / "layer.tar", "w") as layer:
            layer.add(tmp_path / "file", "etc/file")
        images.wrap(tmp_path / "layer.tar", tmp_path / "image.tar")
        with tarfile.open(tmp_path / "image.tar") as image:
            read = {name: (image.extractfile(name) or io.BytesIO()).read() for name in image.getnames()}
        (manifest,) = json.loads(read["manifest.json"])
        config = json.loads(read[manifest["Config"]])
        (layer_name,) = manifest["Layers"]
        digest = hashlib.sha256(read[layer_name]).hexdigest()
        assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]

    def test_nothing_is_ever_fetched_by_name(self, world: World) -> None:
        world.write_bottle("dev", "image: alpine")
        assert images.named(world.spec().resolved.bottle) == ""


def as_root[TestT](test: TestT) -> TestT:
    """Mark what has to become another user and make a mount namespace."""
    not_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
    return pytest.mark.bwrap(not_root(test))


class TestConfinement:
    """What runs in the machine, tried in this one: it refuses wherever something is missing."""

    @pytest.fixture
    def guest(self, world: World, made: plan.SmolmachinesPlan) -> Path:
        make_private_dir(made.spec.files.logs)
        places.make_directories(made)
        places.provision_prompt(made)
        return made.spec.files.guest / "lib"

    def change(self, guest: Path, **changed: list[str]) -> None:
        file = guest / "confine.settings"
        records = [record.split("\0") for record in file.read_text().split("\0\0")]
        file.write_text(settings.encode({name: values for name, *values in records} | changed))

    def confined(self, guest: Path, ready: Path, *argv: str) -> subprocess.CompletedProcess[str]:
        code = (guest / "confine.py").read_text().replace("/run/bottlemux-ready", str(ready))
        (guest / "confine.py").write_text(code)
        changed = {"directory": ["/"], **({"user": ["65534", "65534"]} if os.getuid() == 0 else {})}
        self.change(guest, **changed)
        return subprocess.run(
            [sys.executable, "-I", "-S", str(guest / "confine.py"), *argv],
            capture_output=True,
            encoding="utf-8",
        )

    def test_a_program_is_let_in_only_when_the_view_is_made(self, guest: Path, tmp_path: Path) -> None:
        done = self.confined(guest, tmp_path / "ready", "echo", "in")
        assert (done.returncode, done.stdout) == (125, "")
        assert "not confined" in done.stderr

    @as_root
    def test_nothing_is_left_to_gain(self, guest: Path, tmp_path: Path) -> None:
        (tmp_path / "ready").touch()
        done = self.confined(guest, tmp_path / "ready", "cat", "/proc/self/status")
        fields = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == ["65534"] * 4
        assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")

    @as_root
    @pytest.mark.parametrize("name", ["known.bpf", "refused.bpf"])
    @pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
    def test_without_a_filter_nothing_starts(
        self, guest: Path, tmp_path: Path, name: str, content: bytes | None
    ) -> None:
        (tmp_path / "ready").touch()
        (guest / name).unlink()
        if content is not None:
            (guest / name).write_bytes(content)
        done = self.confined(guest, tmp_path / "ready", "echo", "in")
        assert (done.returncode, done.stdout) == (125, "")

    @as_root
    def test_nothing_but_its_own_can_be_written_to(self, guest: Path, tmp_path: Path) -> None:
        (tmp_path / "ready").touch()
        with (
            tempfile.TemporaryDirectory(dir="/dev/shm") as own,
            tempfile.TemporaryDirectory(dir="/") as other,
        ):
            for place in (own, other):
                Path(place).chmod(0o777)
            self.change(guest, writable=["/dev/shm"])
            done = self.confined(
                guest, tmp_path / "ready", "sh", "-c", f"echo 1 >{own}/a && echo 2 >{other}/a"
            )
            assert "Read-only file system" in done.stderr
            assert (os.listdir(own), os.listdir(other)) == (["a"], [])
            Path(other, "a").touch()

    @as_root
    def test_its_streams_can_be_opened_by_name(self, guest: Path, tmp_path: Path) -> None:
        (tmp_path / "ready").touch()
        done = self.confined(
            guest, tmp_path / "ready", "sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr"
        )
        assert (done.stdout, done.stderr) == ("out\n", "err\n")

    @as_root
    def test_exit_codes_are_a_shells(self, guest: Path, tmp_path: Path) -> None:
        (tmp_path / "ready").touch()
        codes = [
            self.confined(guest, tmp_path / "ready", *argv).returncode
            for argv in (["sh", "-c", "exit 7"], ["no-such-program"], ["/etc/passwd"])
        ]
        assert codes == [7, 127, 126]


@pytest.mark.smolvm
class TestRealProgram:
    """The real smolvm, up to the boot, with a home of its own."""

    @pytest.fixture
    def smolvm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tool.Smolvm]:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        (tmp_path / "home").mkdir()
        return tool.Smolvm(tool.find())

    def create(self, smolvm: tool.Smolvm, spec: BottleSpec) -> str:
        made = plan.resolve(spec, smolvm.program, "/")
        make_private_dir(spec.files.guest)
        make_private_dir(spec.files.home)
        places.write_smolfile(made, str(spec.directory))
        labels = names.labels(spec.paths, spec.identity)
        wanted = tool.Wanted(
            made.machine, places.smolfile_path(made), labels, made.sockets, smolfile.workload()
        )
        smolvm.create(wanted)
        return made.machine

    def test_knows_sockets(self, smolvm: tool.Smolvm) -> None:
        assert smolvm.version().startswith("smolvm 1.")
        assert tool.mounts_sockets(smolvm.program)

    def test_makes_lists_resizes_and_deletes(self, smolvm: tool.Smolvm, world: World) -> None:
        spec = world.spec(workspace="copy")
        name = self.create(smolvm, spec)
        (found,) = smolvm.machines()
        assert (found.name, found.state, found.cpus, found.memory_mib) == (name, "created", 1, 768)
        assert found.labels == names.labels(world.paths, spec.identity)
        smolvm.resize(name, 2, 512)
        assert smolvm.machine(name) == replace(found, cpus=2, memory_mib=512)
        smolvm.stop(name)
        smolvm.delete(name)
        smolvm.delete(name)
        assert smolvm.machines() == []

    def test_an_error_is_one_clear_line(self, smolvm: tool.Smolvm) -> None:
        with pytest.raises(BottlemuxError, match=r"^smolvm machine start: vm not found: nothing$"):
            smolvm.start("nothing")

    def test_cleanup_deletes_the_machines_of_removed_bottles_and_no_others(
        self, smolvm: tool.Smolvm, world: World, tmp_path: Path
    ) -> None:
        kept, removed = world.spec(workspace="copy"), world.spec(workspace="copy")
        names_made = [self.create(smolvm, spec) for spec in (kept, removed)]
        other = World(tmp_path / "other", "smolmachines")
        foreign = self.create(smolvm, other.spec(workspace="copy"))
        removed.files.metadata.unlink()
        found = leftovers.find_leftovers(smolvm, world.paths)
        assert list(found.lines()) == [f"machine {names_made[1]} of a removed bottle"]
        leftovers.remove_leftovers(smolvm, found)
        assert {one.name for one in smolvm.machines()} == {names_made[0], foreign}

    def test_listing_twenty_takes_one_call(
        self, smolvm: tool.Smolvm, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = tmp_path / "calls"
        counting = tmp_path / "smolvm"
        counting.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec {smolvm.program} "$@"\n')
        counting.chmod(0o755)
        with contextlib.ExitStack() as held:
            for _ in range(20):
                spec = world.spec(workspace="copy")
                self.create(smolvm, spec)
                make_private_dir(spec.files.runtime)
                write_status(spec.files, RuntimeStatus(1, 1, "2020-01-01T00:00:00.000Z", "smolmachines"))
                held.callback(os.close, hold(spec.files.lock))
            monkeypatch.setattr(tool, "find", lambda: str(counting))
            found = world.backend.enumerate_active()
        assert len(found) == 20
        # None of them was booted, and the listing does not hide that.
        assert {one.services for one in found} == {("machine created",)}
        assert calls.read_text().splitlines() == ["--error-format json machine ls --json"]

    def test_removing_a_bottle_deletes_its_machine(self, smolvm: tool.Smolvm, world: World) -> None:
        spec = world.spec(workspace="copy")
        self.create(smolvm, spec)
        world.backend.discard(spec.identity)
        world.backend.discard(spec.identity)
        assert smolvm.machines() == []


def test_root_is_told_to_use_an_ordinary_user(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "find", lambda: "/bin/true")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    found = world.backend.is_available()
    assert not found
    assert "root" in found.reason
    assert "ordinary user" in found.hint


@pytest.mark.parametrize(
    ("device", "may_open", "options", "reason", "hint"),
    [
        pytest.param("absent", True, "--mount-socket", "no /dev/kvm", "sudo modprobe kvm", id="no-kvm"),
        pytest.param("kvm", False, "--mount-socket", "may not open", "usermod -aG kvm $USER", id="forbidden"),
        pytest.param("kvm", True, "-v", "smolvm 1.12.4 is too old", "pip install --upgrade", id="old"),
    ],
)
def test_what_keeps_machines_from_booting_is_one_line_with_the_command(
    world: World, monkeypatch: pytest.MonkeyPatch,
    device: str, may_open: bool, options: str, reason: str, hint: str,
) -> None:  # fmt: skip
    spec = world.spec(workspace="copy")
    program = world.root / "smolvm"
    program.write_text(f'#!/bin/sh\n[ "$3" = --version ] && echo smolvm 1.12.4 || echo {options}\n')
    program.chmod(0o755)
    (world.root / "kvm").touch()
    monkeypatch.setattr(tool, "find", lambda: str(program))
    monkeypatch.setattr(backend, "_KVM", str(world.root / device))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda _path, _mode: may_open)
    found = world.backend.is_available()
    assert not found
    assert reason in found.reason
    assert hint in found.hint
    assert "\n" not in found.reason + found.hint
    with pytest.raises(UnavailableError, match=reason):
        world.backend._resolve_plan(spec)


def test_a_machine_that_does_not_boot_is_one_line_with_what_helps(tmp_path: Path) -> None:
    """Doctor boots nothing, so no hint may send a person there."""
    program = tmp_path / "smolvm"
    said = '{"error": {"message": "agent did not become ready within 30 seconds: no boot progress for 30 seconds"}}'
    program.write_text(f"#!/bin/sh\necho '{said}' >&2; exit 1\n")
    program.chmod(0o755)
    with pytest.raises(BottlemuxError, match="no boot progress") as caught:
        tool.Smolvm(str(program)).start("m")
    assert "busy" in caught.value.hint
    assert "doctor" not in caught.value.hint


def test_a_missing_program_is_one_line_with_the_command(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(tool, "_packaged", lambda: None)
    with pytest.raises(UnavailableError, match="smolvm is not installed"):
        world.plan(workspace="copy")


def test_the_pane_runs_smolvm_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tool._OWN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/of-the-machines")
    argv = tool.Smolvm("/bin/echo").exec_argv("m", launcher.confined(["claude", "-p"]), tty=True)
    assert "env HOME=/home/of-the-machines /bin/echo machine exec" in argv[2], (
        "it looks where tmux is at home"
    )
    done = subprocess.run(argv, env={"TERM_PROGRAM": "tmux"}, capture_output=True, encoding="utf-8")
    assert done.stdout.startswith("machine exec --name m -i -t -e TERM= -e COLORTERM= -e TERM_PROGRAM=tmux ")
    assert done.stdout.endswith("-- " + " ".join(launcher.confined(["claude", "-p"])) + "\n")
