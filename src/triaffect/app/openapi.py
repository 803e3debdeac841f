"""The OpenAPI document of the REST interface."""

from __future__ import annotations

from typing import Any

from triaffect.app.history import JobOptions
from triaffect.app.jobs import Limits
from triaffect.version import __version__

_ERRORS = {
    400: "An option that cannot be, or an empty body.",
    401: "The token is missing, or another one.",
    403: "Called by a host or from a page that the app does not serve.",
    408: "The body came too slowly.",
    413: "The file is larger or lasts longer than the app takes on.",
    415: "The body is a multipart form, not the file itself.",
    422: "The file is no video, picture or sound, or cannot be decoded.",
    503: "Too much is waiting; try again in a while.",
    504: "The work on the file took longer than the app allows.",
    507: "There is no room on the server's disk.",
}


def describe_interface(limits: Limits) -> dict[str, Any]:
    """Describe what programs can call.

    Args:
        limits: What the app takes on.

    Returns:
        An OpenAPI 3.1 document.

    Examples:
        >>> sorted(describe_interface(Limits())["paths"])
        ['/health', '/openapi.json', '/predict']
    """
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refused = {
        str(status): {"description": text, "content": error} for status, text in _ERRORS.items()
    }
    read = {"401": refused["401"], "403": refused["403"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "triaffect",
            "version": __version__,
            "description": "Valence-arousal, expression and action units of every face and moment.",
        },
        "security": [{}, {"token": []}],
        "paths": {
            "/predict": {"post": _describe_predict(limits, refused)},
            "/health": {"get": _describe_get("Whether the app runs.", "Health", {})},
            "/openapi.json": {"get": _describe_get("This document.", "Document", read)},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _describe_get(text: str, schema: str, refused: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        "operationId": f"get{schema}",
        "summary": text,
        "responses": {"200": {"description": text, "content": content}, **refused},
    }


def _describe_predict(limits: Limits, refused: dict[str, Any]) -> dict[str, Any]:
    """Describe ``POST /predict``, whose options are those of a job."""
    parameters: list[dict[str, Any]] = [
        {"name": "name", "schema": {"type": "string"}, "description": "Name of the file."},
        {
            "name": "format",
            "schema": {"enum": ["json", "csv"]},
            "description": "JSON, unless Accept asks for text/csv.",
        },
    ]
    described = JobOptions.model_json_schema()["properties"]
    for name in ("stride_s", "max_faces", "sound", "smooth"):
        schema = {key: value for key, value in described[name].items() if key != "title"}
        parameters.append({"name": name, "schema": schema})
    body = {"schema": {"type": "string", "format": "binary", "maxLength": limits.size}}
    answer = {"$ref": "#/components/schemas/Prediction"}
    return {
        "operationId": "predict",
        "summary": "Predict one video, picture or sound; nothing of it stays.",
        "parameters": [{"in": "query", "required": False, **each} for each in parameters],
        "requestBody": {
            "required": True,
            "description": f"The file itself, at most {limits.size} bytes and "
            f"{limits.length_s:g} seconds of media.",
            "content": {"application/octet-stream": body},
        },
        "responses": {
            "200": {
                "description": "The prediction table, a row a frame and face.",
                "content": {
                    "application/json": {"schema": answer},
                    "text/csv": {"schema": {"type": "string"}},
                },
            },
            **refused,
        },
    }


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    names = ("status", "code", "expected", "got", "remedy", "message")
    error = {"type": "object", "properties": dict.fromkeys(names, text), "required": list(names)}
    return {
        "Error": {"type": "object", "properties": {"error": error}, "required": ["error"]},
        "Document": {"type": "object"},
        "Health": {
            "type": "object",
            "properties": {
                "status": {"const": "ok"},
                "version": text,
                "running": {"type": "integer"},
                "live": {"type": "integer"},
            },
            "required": ["status", "version", "running", "live"],
        },
        "Prediction": {
            "type": "object",
            "properties": {
                "name": text,
                "rows": {"type": "integer"},
                "remark": {"type": "string", "description": "What is lost or doubtful, in words."},
                "duration_s": {"type": ["number", "null"]},
                "metadata": {"type": "object"},
                "table": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["name", "rows", "remark", "duration_s", "metadata", "table"],
        },
    }
