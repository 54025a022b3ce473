"""Images of machines: a root file system in a directory, or an archive as ``docker save`` writes it.

smolvm would fetch an image that is named, from inside a machine with a network; so none ever reaches it by name.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, UnavailableError, UsageError
from bottlemux.files import make_private_dir
from bottlemux.process import run
from bottlemux.resources import images_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.manifest.models import Bottle
    from bottlemux.paths import Paths

AGENT = "agent"
NEEDED = ("bin/sh", "usr/bin/python3")
SAVE_TIMEOUT_S = 900.0
MAKE_TIMEOUT_S = 1800.0
SUITE = "trixie"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PACKAGES = (
    "bash", "ca-certificates", "coreutils", "curl", "diffutils", "file", "findutils", "git", "grep", "gzip", "jq",
    "less", "make", "nodejs", "npm", "openssh-client", "patch", "procps", "python3", "ripgrep", "sed", "tar",
    "tree", "unzip", "vim-tiny", "xz-utils",
)  # fmt: skip
_HINT = (
    "image: a directory with a root file system, an archive made by docker save, or a name that docker knows"
)


def named(bottle: Bottle) -> str:
    """Return the directory or archive that the manifest names; empty where the launch has to get an image first."""
    name = bottle.image
    if not name:
        return ""
    path = (bottle.source.parent / Path(name).expanduser()).resolve()
    if path.is_dir() and not (path / "Dockerfile").exists():
        return str(_checked(path))
    if path.is_file():
        return str(path)
    return ""


def _checked(root: Path) -> Path:
    missing = [name for name in NEEDED if not os.path.lexists(root / name)]
    if missing:
        raise UsageError(
            f"{str(root)!r} is no image for a bottle: it has no {', '.join(missing)}", hint=_HINT
        )
    return root


def obtain(paths: Paths, bottle: Bottle, say: Callable[[str], object]) -> str:
    """Return an image for ``bottle``, made when there is none: Docker's as an archive, else a root file system."""
    cache = paths.state / "cache" / "machine-images"
    try:
        return str(_from_docker(cache, paths, bottle, say))
    except UnavailableError:
        if bottle.image not in {None, AGENT}:
            raise
    return str(_bootstrapped(cache, say))


def _from_docker(cache: Path, paths: Paths, bottle: Bottle, say: Callable[[str], object]) -> Path:
    from backends.docker import images
    from backends.docker.backend import DockerBackend
    from backends.docker.endpoint import find_endpoint
    from backends.docker.engine import Engine

    if not (availability := DockerBackend(paths).is_available()):
        raise UnavailableError(f"no image for a machine: {availability.reason}", hint=availability.hint)
    engine = Engine(find_endpoint(""))
    reference = images.resolve(engine, bottle.image, bottle.source.parent, say)
    archive = cache / f"{engine.image_id(reference).rpartition(':')[2]}.tar"
    if archive.is_file():
        return archive
    say(f"saving the image {reference} for machines; this happens once")
    make_private_dir(cache)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        part = Path(scratch, "image.tar")
        command = ["docker", "--host", engine.endpoint, "save", "--output", str(part), reference]
        done = run(command, timeout=SAVE_TIMEOUT_S)
        if done.returncode != 0:
            raise BottlemuxError(
                f"cannot save the image {reference}: {done.stderr.decode(errors='replace').strip()}"
            )
        part.rename(archive)
    return archive


def _bootstrapped(cache: Path, say: Callable[[str], object]) -> Path:
    """Return an archive of Debian with everyday tools and Claude Code, made without root.

    An archive, since it keeps the files' owners: in a directory of an ordinary user's, all would be the agent's.
    """
    lock_file = images_dir() / AGENT / "package-lock.json"
    key = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode() + lock_file.read_bytes()).hexdigest()[:16]
    archive = cache / f"{SUITE}-{key}.tar"
    if archive.is_file():
        return archive
    tool = shutil.which("mmdebstrap")
    if tool is None:
        raise UnavailableError(
            "there is no image for a machine, and nothing that makes one",
            hint=f"sudo apt-get install mmdebstrap, or start a Docker engine, or name one. {_HINT}",
        )
    say("making an image for machines; this happens once and takes some minutes")
    make_private_dir(cache)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        layer = Path(scratch, "layer.tar")
        _make(tool, layer, lock_file)
        part = Path(scratch, "image.tar")
        wrap(layer, part)
        part.rename(archive)
    return archive


def wrap(layer: Path, target: Path) -> None:
    """Write an image of the one ``layer``, an archive of a root file system, in the form that ``docker save`` has."""
    with layer.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    config = {
        "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [
        {"Config": "config.json", "RepoTags": [f"bottlemux/{AGENT}:machine"], "Layers": ["layer.tar"]}
    ]
    with tarfile.open(target, "w") as archive:
        for name, value in {"config.json": config, "manifest.json": manifest}.items():
            data = json.dumps(value).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        archive.add(layer, "layer.tar")


def _make(tool: str, target: Path, lock_file: Path) -> None:
    """Write the root file system, as an archive. ``$BOTTLEMUX_BUILD_CA`` is trusted by the build alone."""
    place, authorities = "/opt/claude-code", os.environ.get("BOTTLEMUX_BUILD_CA", "")
    trusting = "NODE_EXTRA_CA_CERTS=/tmp/extra.pem " if authorities else ""
    hooks = [
        f'mkdir -p "$1{place}"',
        f"copy-in {lock_file.with_name('package.json')} {lock_file} {place}",
        *([f'cp "{authorities}" "$1/tmp/extra.pem"'] if authorities else []),
        f'chroot "$1" env {trusting}npm ci --prefix {place} --no-audit --no-fund --loglevel=error',
        f'ln -s {place}/node_modules/.bin/claude "$1/usr/local/bin/claude"',
        'rm -rf "$1/tmp/extra.pem" "$1/root/.npm"',
        'find "$1" -xdev -perm /6000 -type f -exec chmod a-s {} +',
    ]
    command = [
        tool, "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        *(f"--customize-hook={hook}" for hook in hooks),
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", SUITE, str(target),
    ]  # fmt: skip
    done = run(command, timeout=MAKE_TIMEOUT_S)
    if done.returncode != 0:
        last = " / ".join(done.stderr.decode(errors="replace").strip().splitlines()[-3:])
        raise BottlemuxError(f"cannot make a root file system: {last}", hint=_HINT)
