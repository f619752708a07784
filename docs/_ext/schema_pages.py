"""JSON Schemas of what commands print with ``--json``, read off what they print of two matrices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import table, write
from reference_pages import printed

COMMANDS = ("explain", "classify", "flow", "limit", "complete", "escape", "critical", "landscape", "verify", "ledger")
EXAMPLES = ("m3", "fig4")
KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def schema(values: list[Any]) -> dict[str, Any]:
    """Return a JSON Schema that all of the values meet; what all have is required, and numbers may be null."""
    objects = [value for value in values if isinstance(value, dict)]
    arrays = [value for value in values if isinstance(value, list)]
    kinds = {KINDS[type(value)] for value in values if not isinstance(value, dict | list)}
    if "number" in kinds:
        kinds.discard("integer")
    if kinds == {"null"}:
        return {}  # what is unknown in all of them may be anything
    found: list[dict[str, Any]] = [
        {"type": [kind, "null"] if kind in ("integer", "number") else kind} for kind in sorted(kinds)
    ]
    if objects:
        keys = list(dict.fromkeys(key for each in objects for key in each))
        properties = {key: schema([each[key] for each in objects if key in each]) for key in keys}
        required = [key for key in keys if all(key in each for each in objects)]
        found.append({"type": "object", "properties": properties, "required": required})
    if arrays:
        items = [item for each in arrays for item in each]
        found.append({"type": "array"} | ({"items": schema(items)} if items else {}))
    return found[0] if len(found) == 1 else {"anyOf": found}


def kind(part: dict[str, Any]) -> str:
    """Return the type of a part in words."""
    if "anyOf" in part:
        return " or ".join(kind(each) for each in part["anyOf"])
    inner, name = part.get("items"), part.get("type", "null or more")
    return (name if isinstance(name, str) else name[0]) + (
        f" of {kind(inner)}" if inner and "anyOf" not in inner else ""
    )


def write_schemas(folder: Path) -> None:
    """Write a schema for each command, and what stands in it at the top."""
    lines = []
    for command in COMMANDS:
        shown = [json.loads(printed(command, "--example", name, "--json", "--quiet")) for name in EXAMPLES]
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"gflow {command} --json"}
        found = head | schema(shown)
        write(folder / f"{command}.schema.json", [json.dumps(found, indent=1)])
        rows = [[f"`{key}`", kind(part)] for key, part in found["properties"].items()]
        link = f"{{download}}`{command}.schema.json <generated/{command}.schema.json>`"
        lines += [f"## gflow {command}", "", f"The whole schema: {link}.", ""]
        lines += table(["key", "type"], rows) if command != "ledger" else ["One object for each statement, by its id."]
        lines += [""]
    write(folder / "schemas.txt", lines)
