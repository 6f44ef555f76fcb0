"""The envelopes of what goes over the wire. What is in them belongs to the methods."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from lofi_daemon.errors import InvalidRequest, LofiError
from lofi_daemon.parameters import Parameters

RequestId = str | int | float | None


class Message(BaseModel):
    """Base of what the daemon sends."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Explained(Message):
    """What is told although something is wrong: `error` says what, and is left out otherwise."""

    error: str | None = None

    @model_serializer(mode="wrap")
    def _without_no_error(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        if fields["error"] is None:
            del fields["error"]
        return fields


# Envelopes


class Request(Message):
    """One call. `answered` is False for a notification: it came without an id."""

    method: str
    params: dict[str, Any]
    id: RequestId
    answered: bool


def read_request(value: object) -> Request:
    """Check the envelope of a parsed JSON value. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest("A request is a JSON object.")
    envelope: dict[str, Any] = value
    if envelope.get("jsonrpc") != "2.0":
        raise InvalidRequest('The member "jsonrpc" must be "2.0".')
    method = envelope.get("method")
    if not isinstance(method, str):
        raise InvalidRequest('The member "method" must be a string.')
    if "id" in envelope and not _is_id(envelope["id"]):
        raise InvalidRequest('The member "id" must be a string, a number or null.')
    params = envelope.get("params", {})
    if params == []:  # how some encoders write an empty table
        params = {}
    if not isinstance(params, dict):
        raise InvalidRequest('The member "params" must be an object: parameters go by name.')
    return Request(method=method, params=params, id=envelope.get("id"), answered="id" in envelope)


def id_of(value: object) -> RequestId:
    """The id to answer an invalid request with: its own where it has a proper one, else null."""
    if isinstance(value, dict):
        identity: object = value.get("id")
        if _is_id(identity):
            return identity  # pyright: ignore[reportReturnType]
    return None


def response(request_id: RequestId, result: BaseModel) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result.model_dump()}


def error_response(request_id: RequestId, error: LofiError) -> dict[str, Any]:
    """An error as JSON-RPC has it; its data starts with our code and hint."""
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {
            "code": error.code,
            "message": error.message,
            "data": {"code": error.name, "hint": error.hint, **error.data},
        },
    }


def notification(method: str, params: BaseModel) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": method,
        "params": params.model_dump(exclude_unset=True),
    }


def encode(message: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> bytes:
    """One line. ASCII only: a lone surrogate that a client sent cannot break the encoding."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


class NoParameters(Parameters):
    pass
