"""The images of bottles: built from ``images/`` on first use, found again by the hash of what they are made of."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from backends.docker import build_trust, names
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.resources import images_dir
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backends.docker.engine import Engine

_CERTIFICATES_HINT = "behind a proxy that intercepts TLS: export BOTTLEMUX_BUILD_CA=FILE (PEM)"
_DIGEST_LENGTH = 12
_PROGRESS_WIDTH = 100
_LARGEST_CONTEXT = 64 << 20


@dataclass(frozen=True)
class Source:
    """What an image is built from: the files of its context by their names there, and the tag that follows."""

    name: str
    files: Mapping[str, bytes]
    executable: frozenset[str] = frozenset()

    @property
    def tag(self) -> str:
        """The same files have the same tag, on every machine."""
        digest = hashlib.sha256()
        for name, data in sorted(self.files.items()):
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        for name in sorted(self.executable):
            digest.update(f"{name}\0".encode())
        return f"{names.REPOSITORY}/{self.name}:{digest.hexdigest()[:_DIGEST_LENGTH]}"

    def archive(self) -> bytes:
        """Return the context as a tar archive, the same bytes for the same files."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, data in sorted(self.files.items()):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o755 if name in self.executable else 0o644
                archive.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()


def own_names() -> list[str]:
    """Return the names of the images that come with bottlemux."""
    return sorted(path.parent.name for path in images_dir().glob("*/Dockerfile"))


def own_source(name: str) -> Source:
    """Return what the image ``name`` of ``images/`` is built from."""
    files = _files(images_dir() / name)
    if name == names.SIDECARS:
        files["requirements.txt"] = (images_dir().parent / "requirements.txt").read_bytes()
        files |= {f"sidecars/{path}": data for path, data in _files(_sidecars_package()).items()}
    return Source(name, files)


def directory_source(directory: Path) -> Source:
    """Return what the user's own Dockerfile in ``directory`` makes."""
    if not (directory / "Dockerfile").is_file():
        raise UsageError(f"{str(directory)!r} has no Dockerfile")
    files = _files(directory)
    return Source("own", files, frozenset(name for name in files if os.access(directory / name, os.X_OK)))


def _sidecars_package() -> Path:
    import sidecars

    return Path(sidecars.__path__[0])


def _files(root: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and not path.is_symlink() and "__pycache__" not in relative.parts:
            found[str(relative)] = path.read_bytes()
            if sum(map(len, found.values())) > _LARGEST_CONTEXT:
                raise UsageError(f"{str(root)!r} is too large for an image's build")
    return found


@dataclass(frozen=True)
class BuildOptions:
    """``base_image`` replaces the Dockerfiles' own; ``authorities`` is PEM that only the build trusts."""

    base_image: str = ""
    authorities: str = ""

    @property
    def trust(self) -> Mapping[str, str]:
        """The argument by which every build gets the authorities; none without any."""
        return {"EXTRA_CA": self.authorities} if self.authorities else {}

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> BuildOptions:
        """Return what ``$BOTTLEMUX_BASE_IMAGE`` and ``$BOTTLEMUX_BUILD_CA`` (a file) say."""
        env = os.environ if environ is None else environ
        file = env.get("BOTTLEMUX_BUILD_CA")
        try:
            return cls(env.get("BOTTLEMUX_BASE_IMAGE", ""), Path(file).read_text("ascii") if file else "")
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read $BOTTLEMUX_BUILD_CA: {error}") from error


def ensure(
    engine: Engine, source: Source, say: Callable[[str], object], options: BuildOptions | None = None
) -> str:
    """Return the image of ``source``, built when the engine does not have it; ``say`` gets the progress."""
    options = options or BuildOptions.from_environ()
    if not engine.image_id(source.tag) or _has_another_base(engine, source.tag, options):
        build(engine, source, say, options)
    return source.tag


def _has_another_base(engine: Engine, tag: str, options: BuildOptions) -> bool:
    """Whoever names no base takes what there is: it may have been built on a mirror's."""
    return bool(options.base_image) and engine.image_label(tag, names.BASE_LABEL) != options.base_image


def build(engine: Engine, source: Source, say: Callable[[str], object], options: BuildOptions) -> None:
    """Build the image of ``source``. A failure has the build's last lines."""
    arguments = {"BASE_IMAGE": options.base_image} if options.base_image else {}

    def say_steps(line: str) -> None:
        if line.startswith("Step "):
            say(f"{source.name}: {' '.join(line.split())[:_PROGRESS_WIDTH]}")

    say(f"building the image {source.tag}; this happens once")
    labels = {names.BASE_LABEL: options.base_image or "default"}
    _build(engine, source.tag, source.archive(), {**arguments, **options.trust}, labels, say_steps)


def _build(
    engine: Engine,
    tag: str,
    context: bytes,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    say: Callable[[str], object],
) -> None:
    try:
        for line in engine.build(context, tag, arguments, labels):
            say(line)
    except BottlemuxError as error:
        is_trust = "certificate" in error.message.lower()
        raise BottlemuxError(
            error.message, hint=error.hint or (_CERTIFICATES_HINT if is_trust else "")
        ) from error


def for_bottle(
    engine: Engine,
    wanted: str | None,
    base: Path,
    say: Callable[[str], object],
    dockerfile: str = "",
    owner: str = "",
) -> str:
    """Return the image for a bottle: what its manifest says (see :func:`resolve`), with its own ``dockerfile`` on top.

    What a build on top prints is told to ``say`` whole. By ``owner`` a cleanup knows whose it is.
    """
    image = resolve(engine, wanted, base, say)
    if not dockerfile:
        return image
    # The image below is part of what it is made of: another one of the same name makes another.
    below = engine.image_id(image)
    source = Source("bottle", {"Dockerfile": dockerfile.encode(), "below": below.encode()})
    if not engine.image_id(source.tag):
        say(f"building the image {source.tag} from {image}")
        labels = {
            names.BASE_LABEL: image,
            names.STATE_LABEL: owner,
            names.DOCKERFILE_LABEL: dockerfile_digest(dockerfile),
        }
        trust = BuildOptions.from_environ().trust
        arguments = {"BOTTLE_IMAGE": image, **trust}
        context = (_trusting(engine, source, image) if trust else source).archive()
        _build(engine, source.tag, context, arguments, labels, lambda line: say(printable(line)))
    return source.tag


def _trusting(engine: Engine, source: Source, image: str) -> Source:
    """Return ``source``, whose Dockerfile is one of a bottle, as it is built where there are authorities to trust."""
    text = build_trust.trusting(source.files["Dockerfile"].decode(), engine.image_shell(image))
    return replace(source, files={**source.files, "Dockerfile": text.encode()})


def dockerfile_digest(text: str) -> str:
    """Return by what an image is known to belong to the bottles that have this Dockerfile."""
    return hashlib.sha256(text.encode()).hexdigest()


def current_tags() -> set[str]:
    """Return the tags that the images of this version have."""
    return {own_source(name).tag for name in own_names()}


def resolve(engine: Engine, wanted: str | None, base: Path, say: Callable[[str], object]) -> str:
    """Return the image for a bottle whose manifest says ``wanted``: one of ours, a directory's, or one by name."""
    name = wanted or names.AGENT
    if name in own_names():
        return ensure(engine, own_source(name), say)
    directory = (base / Path(name).expanduser()).resolve()
    if name.startswith((".", "/", "~")) or directory.is_dir():
        return ensure(engine, directory_source(directory), say)
    if not engine.image_id(name):
        raise UsageError(f"the engine has no image {name!r}", hint=f"docker pull {name}")
    return name
