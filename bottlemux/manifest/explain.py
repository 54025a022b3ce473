"""Values of a document to a model, with every complaint of the model's turned into a :class:`Problem`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from bottlemux.manifest.problems import Problem, accepted, failure, suggestion, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from bottlemux.manifest.frontmatter import Document
    from bottlemux.manifest.problems import KeyPath

_TYPES = {
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "path_type": "must be a path",
    "missing": "is missing",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "has a form that is not accepted",
}
# The model's own words repeat the value, which is the secret itself when somebody pastes one here.
_TOKEN_REFUSAL = ("does not say where a token is", ("accepted: NAME, env:NAME, file:PATH, command:ARGV",))
_NUMBERS = {
    "greater_than": ("must be greater than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
}


def validate[ModelT: BaseModel](
    model: type[ModelT], document: Document, given: Mapping[str, object]
) -> ModelT:
    """Return ``model`` made of the document's values and of ``given``, which a document may not set itself.

    Everything that is wrong is reported at once in one :class:`ManifestError`.
    """
    problems = [_unknown(document, (key,), model, given) for key in document.values if key in given]
    if problems:
        raise failure(problems)
    try:
        return model.model_validate({**document.values, **given})
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise failure([_problem(document, model, detail, given) for detail in details])


def _problem(
    document: Document, model: type[BaseModel], detail: ErrorDetails, given: Mapping[str, object]
) -> Problem:
    context: dict[str, Any] = detail.get("ctx", {})
    key = (*_key_path(document, detail["loc"]), *context.get("at", ()))
    if detail["type"] == "extra_forbidden":
        return _unknown(document, key, model, given)
    pasted = "token_ref" in key and "at" not in context
    message, extra = _TOKEN_REFUSAL if pasted else _describe(detail, context)
    repeated = isinstance(detail["input"], str) and repr(detail["input"]) in message
    silent = detail["type"] == "missing" or "at" in context or repeated
    value = () if silent else value_of(key, detail["input"])
    return Problem(document.source, document.line_of(key), key, message, (*value, *extra))


def _describe(detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    kind = detail["type"]
    if kind in _TYPES:
        return _TYPES[kind], ()
    if kind in _NUMBERS:
        words, bound = _NUMBERS[kind]
        return f"{words} {float(context[bound]):.12g}", ()
    if kind in {"literal_error", "enum"}:
        return "is not known", (f"accepted: {str(context['expected']).replace(' or ', ', ')}",)
    if kind == "value_error":
        return str(context["error"]), ()
    return detail["msg"][:1].lower() + detail["msg"][1:], ()


def _key_path(document: Document, location: tuple[int | str, ...]) -> KeyPath:
    """Drop what pydantic adds to a path: names of validators and union members, ``[key]``."""
    key: KeyPath = ()
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(part, int) or (*key, part) in document.lines or (last and part.isidentifier()):
            key = (*key, part)
    return key


def _unknown(
    document: Document, key: KeyPath, model: type[BaseModel], given: Mapping[str, object]
) -> Problem:
    fields = _fields_at(model, key[:-1]) - given.keys()
    extra = (accepted(fields), *suggestion(str(key[-1]), fields))
    return Problem(document.source, document.line_of(key), key, "is not a known key", extra)


def _fields_at(model: type[BaseModel], key: KeyPath) -> set[str]:
    current = model
    for part in key:
        field = current.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field is not None else None
        current = inner or current
    return {field.alias or name for name, field in current.model_fields.items()}


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
