"""Many processes, broken files and hostile agents at one store."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bottlemux.state.store
from bottlemux.errors import BottlemuxError, NotFoundError, UsageError
from bottlemux.identity import is_slug
from bottlemux.state.liveness import hold
from bottlemux.state.metadata import Metadata
from bottlemux.state.store import BottleStore, BrokenRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path("/work")


def create(store: BottleStore, agent: str = "demo", **more) -> Metadata:
    return store.create(agent, **{"bottle": "demo", "backend": "bubblewrap", "cwd": HERE, **more})


def test_what_is_created_can_be_loaded(store: BottleStore) -> None:
    record = create(store, args=["-x"], workspace="clone", layout="wide", from_project=True, agent_digest="d")

    assert store.load(record.identity) == record
    assert store.list() == [record]
    assert is_slug(record.identity)
    assert (record.agent, record.args, record.workspace, record.cwd) == ("demo", ("-x",), "clone", "/work")
    assert record.created_at.endswith("Z")


def test_everything_made_is_private(store: BottleStore) -> None:
    record = create(store, workspace="copy")
    root = store.paths.bottle(record.identity).state

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in [store.paths.bottles, root, *root.iterdir()]
    }

    assert modes.pop("metadata.json") == 0o600
    assert {"home", "workspace", "logs", "proposals", "guest"} <= modes.keys()
    assert set(modes.values()) == {0o700}


def test_a_mounted_workspace_has_no_directory_here(store: BottleStore) -> None:
    assert not store.paths.bottle(create(store).identity).workspace.exists()


def test_save_replaces_the_record(store: BottleStore) -> None:
    record = replace(create(store), started_at="2030-01-01T00:00:00Z", base_commit="abc")

    store.save(record)

    assert store.load(record.identity) == record


def test_a_record_that_was_removed_is_not_saved_back(store: BottleStore) -> None:
    record = create(store)
    store.remove(record.identity)

    with pytest.raises(NotFoundError):
        store.save(record)


def _create_many(store: BottleStore, slugs: Sequence[str], count: int, results) -> None:
    # Few identities to draw from, so that the processes do collide.
    pool = list(slugs)
    bottlemux.state.store.new_slug = lambda agent: pool[os.urandom(1)[0] % len(pool)]
    results.put([create(store).identity for _ in range(count)])


def test_starts_at_once_never_share_an_identity(store: BottleStore) -> None:
    slugs = [f"demo-{number:05}" for number in range(120)]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=_create_many, args=(store, slugs, 10, results)) for _ in range(8)]
    for worker in workers:
        worker.start()
    made = [identity for _ in workers for identity in results.get(timeout=60)]
    for worker in workers:
        worker.join(timeout=60)

    assert Counter(made).most_common(1)[0][1] == 1
    assert store.identities() == sorted(made)
    assert [row.identity for row in store.list() if isinstance(row, Metadata)] == sorted(made)
    assert list(store.paths.bottles.glob(".*")) == []


def test_no_free_identity_is_an_error_that_leaves_nothing(store: BottleStore, monkeypatch) -> None:
    monkeypatch.setattr("bottlemux.state.store.new_slug", lambda agent: "demo-00000")
    create(store)

    with pytest.raises(BottlemuxError, match="no free identity for agent 'demo'"):
        create(store)

    assert list(store.paths.bottles.glob(".*")) == []


def test_a_creation_that_fails_leaves_nothing(store: BottleStore) -> None:
    with pytest.raises(ValueError, match="not an agent name"):
        create(store, "No Name")

    assert list(store.paths.bottles.iterdir()) == []


BROKEN = {
    "no file": (None, "cannot be read: No such file or directory"),
    "empty": (b"", "broken record: not JSON"),
    "half": (b'{"schema_ver', "broken record: not JSON"),
    "binary": (b"\xff\xfe", "broken record: not JSON"),
    "deep": (b"[" * 100_000, "broken record: not JSON"),
    "newer": (b'{"schema_version": 9}', "written by a newer bottlemux (schema 9, this one reads 1)"),
}


@pytest.mark.parametrize(("content", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_record_is_a_row_and_an_error(store: BottleStore, content: bytes | None, why: str) -> None:
    good, bad = create(store, "good"), create(store, "bad")
    file = store.paths.bottle(bad.identity).metadata
    file.unlink() if content is None else file.write_bytes(content)

    assert store.list() == [BrokenRecord(bad.identity, f"{file}: {why}"), good]
    with pytest.raises(BottlemuxError) as caught:
        store.load(bad.identity)
    assert caught.value.message == f"{file}: {why}"
    store.remove(bad.identity)
    assert store.list() == [good]


def test_a_record_of_another_bottle_is_broken(store: BottleStore) -> None:
    one, other = create(store), create(store)
    copy = store.paths.bottle(one.identity).metadata
    copy.write_text(json.dumps(other.to_json()))

    with pytest.raises(BottlemuxError, match=f"belongs to '{other.identity}'"):
        store.load(one.identity)


def test_a_pipe_in_place_of_a_record_does_not_hang(store: BottleStore) -> None:
    record = create(store)
    file = store.paths.bottle(record.identity).metadata
    file.unlink()
    os.mkfifo(file)

    assert isinstance(store.list()[0], BrokenRecord)


def test_an_empty_store(store: BottleStore) -> None:
    assert (store.list(), store.identities(), store.leftovers()) == ([], [], [])


@pytest.mark.parametrize("name", ["demo-aaaaa", "../../etc", "", "metadata.json"])
def test_an_unknown_bottle_lists_the_known(store: BottleStore, name: str) -> None:
    record = create(store)

    for action in (store.load, store.remove, store.resolve_prefix):
        with pytest.raises(NotFoundError) as caught:
            action(name)
        assert caught.value.message == f"no bottle {name!r} (known: {record.identity})"


def test_a_unique_prefix_is_enough(store: BottleStore, monkeypatch) -> None:
    slugs = iter(["demo-abcde", "demo-abxyz", "other-11111"])
    monkeypatch.setattr("bottlemux.state.store.new_slug", lambda agent: next(slugs))
    for _ in range(3):
        create(store)

    assert store.resolve_prefix("o") == "other-11111"
    assert store.resolve_prefix("demo-abc") == "demo-abcde"
    assert store.resolve_prefix("demo-abxyz") == "demo-abxyz"
    with pytest.raises(UsageError, match="'demo' is not unique: demo-abcde, demo-abxyz"):
        store.resolve_prefix("demo")


def test_a_living_bottle_is_not_removed(store: BottleStore) -> None:
    record = create(store)
    lock = hold(store.paths.bottle(record.identity).lock)
    try:
        with pytest.raises(BottlemuxError, match="is running"):
            store.remove(record.identity)
    finally:
        os.close(lock)

    assert store.load(record.identity) == record
    store.remove(record.identity)
    assert list(store.paths.bottles.iterdir()) == []


def test_removal_takes_the_runtime_directory_too(store: BottleStore) -> None:
    record = create(store)
    store.paths.bottle(record.identity).runtime.mkdir(parents=True)

    store.remove(record.identity)

    assert not store.paths.bottle(record.identity).runtime.exists()


def test_leftovers_are_found_and_not_listed(store: BottleStore) -> None:
    create(store)
    names = (".gone-demo-abcde-0", ".new-fresh", ".new-old")
    gone, fresh, old = (store.paths.bottles / name for name in names)
    for directory in (gone, fresh, old):
        directory.mkdir()
    os.utime(old, (0, 0))

    assert store.leftovers() == [gone, old]
    assert len(store.list()) == 1
