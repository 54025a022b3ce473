"""The MCP server's tools: their descriptions, and what a call does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import McpError
from pydantic import BaseModel, ValidationError

from sidecars.egress.routes import RouteSet
from sidecars.supervise import asks, checks
from sidecars.supervise.checks import AlreadyAllowed, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidecars.egress.routes import Route
    from sidecars.supervise.desk import Desk
    from sidecars.supervise.proposal import Kind
    from sidecars.supervise.spec import SuperviseSpec

INSTRUCTIONS = (
    "Ask the operator of this bottle for more than it allows. Ask for the least that is enough, say why, and do not "
    "ask again for what was rejected."
)
# Claude Code otherwise shows its model the names of tools only once it searches for them.
_ALWAYS_LOADED: dict[str, Any] = {"anthropic/alwaysLoad": True}
_RESULT = "Returns JSON: id, status (pending, approved, rejected, active, failed) and reason."
_DESCRIPTIONS: Mapping[str, tuple[type[BaseModel], str]] = {
    "list-egress-routes": (asks.ListRoutes, "List what the bottle's proxy allows, as JSON."),
    "egress-block": (
        asks.EgressAsk,
        (
            "Ask the operator to allow a request that the proxy refused (403 with x-bottlemux-block), usually with "
            f"the refusal's own values. Once active, the same request passes. {_RESULT}"
        ),
    ),
    "capability-block": (
        asks.CapabilityAsk,
        f"Ask the operator for programs that this bottle lacks; it is rebuilt with them. {_RESULT}",
    ),
    "git-block": (
        asks.GitAsk,
        f"Ask the operator to allow pushing a branch that git-gate refused. {_RESULT}",
    ),
    "wait-for-decision": (
        asks.WaitAsk,
        f"Wait until the operator decided about a proposal, or until wait_s seconds are over. {_RESULT}",
    ),
}


def make_server(spec: SuperviseSpec, desk: Desk) -> Server[Any, Any]:
    """Return the protocol's side of one bottle's requests."""
    return _Tools(spec, desk).server()


class _Tools:
    def __init__(self, spec: SuperviseSpec, desk: Desk) -> None:
        self._spec = spec
        self._desk = desk

    def server(self) -> Server[Any, Any]:
        server: Server[Any, Any] = Server("bottlemux-supervise", version="1", instructions=INSTRUCTIONS)
        # Not by the decorators: those turn an unknown tool or argument into a result, not an error.
        server.request_handlers[types.ListToolsRequest] = self._list
        server.request_handlers[types.CallToolRequest] = self._call
        return server

    async def _list(self, _request: types.ListToolsRequest) -> types.ServerResult:
        tools = [
            types.Tool(name=name, description=text, inputSchema=_schema(model), _meta=_ALWAYS_LOADED)
            for name, (model, text) in _DESCRIPTIONS.items()
            if self._spec.can_rebuild or model is not asks.CapabilityAsk
        ]
        return types.ServerResult(types.ListToolsResult(tools=tools))

    async def _call(self, request: types.CallToolRequest) -> types.ServerResult:
        name = request.params.name
        if name not in _DESCRIPTIONS:
            raise _invalid(f"unknown tool (known: {', '.join(_DESCRIPTIONS)})")
        try:
            arguments = _DESCRIPTIONS[name][0].model_validate(request.params.arguments or {})
        except ValidationError as error:
            raise _invalid(_problems(error)) from None
        answer, failed = await self._answer(arguments)
        text = types.TextContent(type="text", text=json.dumps(answer))
        return types.ServerResult(types.CallToolResult(content=[text], isError=failed))

    async def _answer(self, arguments: BaseModel) -> tuple[object, bool]:
        """Return what to say, and whether it is a refusal."""
        try:
            match arguments:
                case asks.ListRoutes():
                    return {"routes": [route.public() for route in self._routes()]}, False
                case asks.WaitAsk():
                    proposal = self._desk.find(arguments.id)
                    return (await self._desk.wait(proposal, arguments.wait_s)).answer(), False
                case asks.EgressAsk():
                    return await self._ask(
                        "egress", arguments, lambda: checks.egress_request(arguments, self._routes())
                    )
                case asks.GitAsk():
                    return await self._ask(
                        "git", arguments, lambda: checks.git_request(arguments, self._spec.git_remotes)
                    )
                case _:
                    assert isinstance(arguments, asks.CapabilityAsk)  # noqa: S101 - the last one
                    return await self._ask("capability", arguments, lambda: self._capability(arguments))
        except AlreadyAllowed as allowed:
            return {"id": "", "status": "active", "reason": str(allowed)}, False
        except Refused as refusal:
            return {"id": "", "status": "rejected", "reason": refusal.text}, True

    async def _ask(
        self,
        kind: Kind,
        arguments: asks.EgressAsk | asks.GitAsk | asks.CapabilityAsk,
        check: Callable[[], dict[str, object]],
    ) -> tuple[object, bool]:
        try:
            proposal = self._desk.submit(kind, check(), arguments.reason)
        except Refused as refusal:
            self._desk.refused(kind, refusal, _shown(arguments))
            raise
        return (await self._desk.wait(proposal, arguments.wait_s)).answer(), False

    def _capability(self, ask: asks.CapabilityAsk) -> dict[str, object]:
        if not self._spec.can_rebuild:
            raise Refused("unavailable", "this bottle has no image to which programs could be added")
        return checks.capability_request(ask)

    def _routes(self) -> tuple[Route, ...]:
        try:
            return RouteSet.load(self._spec.routes_file).routes
        except (OSError, ValueError):
            raise Refused("storage", "the routes cannot be read: tell the operator") from None


def _shown(arguments: BaseModel) -> dict[str, object]:
    """Return the arguments as far as an audit line has them."""
    return arguments.model_dump(include={"host", "port", "methods", "paths"}, exclude_none=True)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    places = [f"{'.'.join(str(part)[:64] for part in each['loc'][:4])}: {each['msg']}" for each in found[:5]]
    return "invalid arguments: " + "; ".join(places)


def _invalid(text: str) -> McpError:
    return McpError(types.ErrorData(code=types.INVALID_PARAMS, message=text[:2000]))
