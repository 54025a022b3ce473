"""The one place that talks to an engine through its library; its errors become one clear line each."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
from typing import TYPE_CHECKING, Any

from backends.docker import names
from backends.docker.endpoint import described, is_elsewhere
from bottlemux.errors import BottlemuxError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from backends.docker.connection import Dialled

TIMEOUT_S = 60
STOP_TIMEOUT_S = 3
BUILD_TIMEOUT_S = 1800
OLDEST_API = (1, 40)
_TAIL_LINES = 8
_STEP_WIDTH = 80
_BUILDERS_OWN = ("--->", "Removing intermediate container", "[Warning]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_START_HINT = "sudo systemctl start docker"
_TRANSLATIONS = (
    (r"no space left on device", "the engine's disk is full", "docker system prune"),
    (r"all predefined address pools|could not find an available|no available IPv4 addresses",
     "the engine has no free network addresses",
     "bottlemux cleanup, or add address pools to the engine's daemon.json"),
    (r"is already in use by container", "the container's name is in use", "bottlemux cleanup"),
    (r"network with name (\S+) already exists", "its name is in use", "docker network ls; bottlemux cleanup"),
    (r"exec format error|does not match the .*platform", "the image is for another architecture", "rebuild the image"),
    (r"bind source path does not exist: (.*)", "the engine does not see this machine's files",
     "use an engine that runs on this machine"),
)  # fmt: skip


class Engine:
    """One engine. Connects when it is first used."""

    def __init__(self, endpoint: str, *, timeout: int = TIMEOUT_S) -> None:
        self.endpoint = endpoint
        self._timeout = timeout
        self._dialled: Dialled | None = None

    @functools.cached_property
    def api(self) -> Any:
        """The library's low-level client; any of its errors is translated by :func:`translated`."""
        if self.is_elsewhere:
            return self._dial()
        import docker

        with self.translated("reach"):
            return docker.APIClient(base_url=self.endpoint, version="auto", timeout=TIMEOUT_S)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it sees no file of this machine."""
        return is_elsewhere(self.endpoint)

    def _dial(self) -> Any:
        from backends.docker.connection import dial

        api, self._dialled = dial(self.endpoint, self._timeout)
        with self.translated("reach"):
            api._version = api._retrieve_server_version()  # pyright: ignore[reportPrivateUsage]
        return api

    def close(self) -> None:
        """End the connections that there are."""
        if "api" in vars(self):
            self.api.close()

    def connect(self) -> None:
        """Connect now, before several threads would do it at once."""
        _ = self.api

    @contextlib.contextmanager
    def translated(self, doing: str) -> Generator[None]:
        """Turn the library's errors into ours: what was being done, why it failed, what to do."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            yield
        except APIError as error:
            raise explained(doing, str(error.explanation or error)) from error
        except (DockerException, RequestException) as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, text: str) -> UnavailableError:
        if self._dialled is not None:
            from backends.docker.elsewhere import unreachable

            return unreachable(self.endpoint, self._dialled.complaints() or _one_line(text))
        if "Permission denied" in text:
            return UnavailableError(
                f"no permission to use the Docker engine at {self.endpoint}",
                hint="sudo usermod -aG docker $USER, then log in again",
            )
        if "FileNotFoundError" in text or "refused" in text or "No such file" in text:
            return UnavailableError(f"no Docker engine runs at {self.endpoint}", hint=_START_HINT)
        return UnavailableError(
            f"the Docker engine at {self.endpoint} does not answer: {_one_line(text)}", hint=_START_HINT
        )

    def check(self) -> dict[str, Any]:
        """Return the engine's facts. Raises ``UnavailableError`` for one that cannot run bottles of this machine."""
        with self.translated("reach"):
            info: dict[str, Any] = self.api.info()
            version: str = self.api.api_version
        if tuple(map(int, version.split("."))) < OLDEST_API:
            raise UnavailableError(
                f"the Docker engine at {self.endpoint} is too old (API {version})",
                hint="update it to 19.03 or newer",
            )
        if info["OSType"] != "linux":
            raise UnavailableError(f"the Docker engine {described(self.endpoint)} runs no Linux containers")
        if not self.is_elsewhere and info["Name"] != socket.gethostname():
            raise UnavailableError(
                f"the Docker engine at {self.endpoint} runs on another machine ({info['Name']}), "
                "whose bottles cannot use this machine's directories",
                hint="reach it by a Docker context with ssh or TLS: --backend docker@CONTEXT",
            )
        return info

    def image_id(self, reference: str) -> str:
        """Return the id of an image; empty when the engine does not have it."""
        from docker.errors import ImageNotFound

        with self.translated("look at an image"):
            try:
                return str(self.api.inspect_image(reference)["Id"])
            except ImageNotFound:
                return ""

    def image_label(self, reference: str, label: str) -> str:
        """Return a label of an image that the engine has; empty when it has none of that name."""
        with self.translated("look at an image"):
            labels: dict[str, str] = self.api.inspect_image(reference)["Config"].get("Labels") or {}
        return labels.get(label, "")

    def image_shell(self, reference: str) -> list[str]:
        """Return what runs the steps of a Dockerfile on top of an image that the engine has; empty is its default."""
        with self.translated("look at an image"):
            shell: list[str] | None = self.api.inspect_image(reference)["Config"].get("Shell")
        return shell or []

    def build(
        self, context: bytes, tag: str, arguments: Mapping[str, str], labels: Mapping[str, str]
    ) -> Iterator[str]:
        """Build the image ``tag`` from a tar archive, yielding what the build prints. Its failure raises."""
        import io

        with self.translated("build an image"):
            events = self.api.build(
                fileobj=io.BytesIO(context), custom_context=True, tag=tag, rm=True, forcerm=True, decode=True,
                buildargs=dict(arguments), labels=dict(labels), timeout=BUILD_TIMEOUT_S,
            )  # fmt: skip
            step: list[str] = []
            for event in events:
                if "error" in event:
                    raise explained(f"build {tag}", _failure(event, step))
                for line in str(event.get("stream", "")).splitlines():
                    step = [line] if line.startswith("Step ") else [*step[:1], *step[1:][-_TAIL_LINES:], line]
                    yield line

    def containers(self, labels: Mapping[str, str], *, everything: bool = True) -> list[dict[str, Any]]:
        """Return the containers with all of ``labels``, in one call."""
        with self.translated("list containers"):
            found: list[dict[str, Any]] = self.api.containers(
                all=everything, filters={"label": _filters(labels)}
            )
        return found

    def networks(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the networks with all of ``labels``, in one call."""
        with self.translated("list networks"):
            found: list[dict[str, Any]] = self.api.networks(filters={"label": _filters(labels)})
        return found

    @contextlib.contextmanager
    def attached(self, container: str, timeout: float) -> Generator[socket.socket]:
        """Yield a connection with the standard streams of a container, as the engine mixes them."""
        with self.translated("attach to a container"):
            stream = self.api.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        # The library wraps the connection in a reader; orders have to be written to it.
        connection: socket.socket = getattr(stream, "_sock", stream)
        connection.settimeout(timeout)
        try:
            yield connection
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            stream._response.close()

    def has_volume(self, name: str) -> bool:
        """Say whether there is a volume of that name."""
        from docker.errors import NotFound

        with self.translated("look at a volume"):
            try:
                self.api.inspect_volume(name)
            except NotFound:
                return False
        return True

    def make_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Make a volume where it is missing, and return the directory that it is on the engine's machine."""
        with self.translated("make a volume"):
            return str(self.api.create_volume(name, driver="local", labels=dict(labels))["Mountpoint"])

    def volumes(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the volumes with all of ``labels``, in one call."""
        with self.translated("list volumes"):
            found: list[dict[str, Any]] = self.api.volumes(filters={"label": _filters(labels)})["Volumes"]
        return found or []

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone or still in use is no error."""
        self._remove(lambda: self.api.remove_volume(name))

    def images(self) -> list[dict[str, Any]]:
        """Return the images that bottlemux built, in one call."""
        with self.translated("list images"):
            found: list[dict[str, Any]] = self.api.images(filters={"label": names.BASE_LABEL})
        return found

    def stop_container(self, name: str) -> None:
        """Tell what runs in a container to end, and wait for that; what cannot be stopped is for its removal."""
        from requests.exceptions import RequestException

        with contextlib.suppress(RequestException):
            self.api.stop(name, timeout=STOP_TIMEOUT_S)

    def remove_container(self, name: str) -> None:
        """End and remove a container; one that is gone is no error."""
        self._remove(lambda: self.api.remove_container(name, force=True, v=True))

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is gone or still in use is no error."""
        self._remove(lambda: self.api.remove_network(name))

    def remove_image(self, name: str) -> None:
        """Remove an image; one that is gone or still in use is no error."""
        self._remove(lambda: self.api.remove_image(name))

    def _remove(self, remove: Any) -> None:
        from docker.errors import APIError

        with self.translated("remove"):
            try:
                remove()
            except APIError as error:
                text = str(error.explanation or "")
                gone = error.status_code in {403, 404, 409}
                if not gone and "already in progress" not in text and "has active endpoints" not in text:
                    raise


def _filters(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" if value else name for name, value in labels.items()]


def _failure(event: dict[str, Any], step: list[str]) -> str:
    """Return why a build failed, from the ``step`` that it was at and the end of what that printed.

    The engine's own message repeats the whole step.
    """
    code = event.get("errorDetail", {}).get("code")
    reason = f"{step[0][:_STEP_WIDTH]} ended with {code}" if code and step else str(event["error"])
    lines = [_COLOUR.sub("", line).strip() for line in step[1:]]
    said = [line for line in lines if line and not line.startswith(_BUILDERS_OWN)]
    return f"{reason} ({' / '.join(said[-3:])})" if said else reason


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def explained(doing: str, text: str) -> BottlemuxError:
    """Return the error for what an engine said when it could not do something, its JSON or its bare text."""
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        text = str(json.loads(text)["message"])
    for pattern, message, hint in _TRANSLATIONS:
        if re.search(pattern, text):
            return BottlemuxError(f"cannot {doing}: {message}", hint=hint)
    return BottlemuxError(f"cannot {doing}: {_one_line(text)}")
