"""Weights as a person sees them: the table of what there is, and what one file says about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from SAMedLib.weights.acquire import human_size
from SAMedLib.weights.inspection import inspect_weights
from SAMedLib.weights.store import CachedFile, Store

STATES = {
    "ready": "ready",
    "unchecked": "here, checked before first use",
    "wrong": "another file under this name; remove it",
    "partial": "partly downloaded",
    "absent": "not here",
    "unknown": "not known; see 'samed weights import'",
}


def inventory(store: Store) -> dict[str, Any]:
    """All models and files, and the folder they are in, as plain data."""
    files = store.cached_files()
    states = {file.name: file.state for file in files}
    models = []
    for name in store.model_names():
        entry = store.registry.models.get(name)
        if entry:
            needs = [entry.adapter, *([entry.base] if entry.base else [])]
            ready = all(states[need] in ("ready", "unchecked") for need in needs)
            models.append({"name": name, "ready": ready, "files": needs, "description": entry.description})
        else:
            path = store.own_models()[name]
            models.append({"name": name, "ready": True, "files": [path.name], "description": "Added by you"})
    return {"folder": str(store.folder), "models": models, "files": [_file(file) for file in files]}


def as_text(inventory: dict[str, Any]) -> str:
    """The inventory as two tables."""
    models = [
        (m["name"], "ready" if m["ready"] else "needs files", " + ".join(m["files"]), m["description"])
        for m in inventory["models"]
    ]
    files = [(f["name"], _size(f), STATES[f["state"]], f["license"] or "", f["path"]) for f in inventory["files"]]
    return "\n".join(
        [
            *_table(("MODEL", "STATE", "FILES", "WHAT IT IS"), models),
            "",
            *_table(("FILE", "SIZE", "STATE", "LICENCE", "WHERE"), files),
            "",
            f"Weights folder: {inventory['folder']} (set SAMED_HOME for another)",
        ]
    )


def about(path: Path, store: Store) -> dict[str, Any]:
    """What the adapter or base at `path` says about itself, as plain data.

    Raises:
        SAMedError: if it is no weights file.
    """
    found = inspect_weights(path)
    base = store.base_of(found) if found.kind == "adapter" else None
    return {"file": str(path), "bytes": path.stat().st_size, **found.to_json(), "needs_base": base}


def about_as_text(about: dict[str, Any]) -> str:
    what = {"adapter": "adapter", "base": "SAM base", None: "tensors that are neither an adapter nor a SAM base"}
    lines = [
        ("file", f"{about['file']} ({human_size(about['bytes'])})"),
        ("is", f"{what[about['kind']]}, {about['format']}, layout {about['layout'] or 'unknown'}"),
        ("holds", f"{about['tensors']} tensors, {about['parameters']:,} numbers"),
        ("network", about["network"]),
        ("encoder", about["encoder"] or _encoder_size(about["encoder_size"])),
        ("LoRA rank", about["rank"]),
        ("classes", about["num_classes"] and f"{about['num_classes']} with the background"),
        ("base", "none, it is complete" if about["complete"] and about["kind"] == "adapter" else about["needs_base"]),
    ]
    text = [f"{name:<10} {value}" for name, value in lines if value]
    if about["metadata"]:
        text += ["", json.dumps(about["metadata"], indent=2)]
    return "\n".join(text)


def _file(file: CachedFile) -> dict[str, Any]:
    entry = file.entry
    return {
        "name": file.name,
        "state": file.state,
        "bytes": file.size,
        "full_bytes": entry.bytes if entry and entry.bytes else None,
        "path": str(file.path),
        "license": entry.license if entry else None,
        "description": entry.description if entry else None,
        "address": entry.browser_address if entry else None,
    }


def _size(file: dict[str, Any]) -> str:
    if file["state"] == "partial":
        return f"{human_size(file['bytes'])} of {human_size(file['full_bytes'])}"
    size = file["bytes"] or file["full_bytes"]
    return human_size(size) if size else ""


def _encoder_size(size: tuple[int, int] | None) -> str | None:
    return f"width {size[0]}, {size[1]} blocks" if size else None


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows))
    return [line.rstrip() for line in padded]
