"""The files of an index beside its vectors: `index.json` and `texts.jsonl`, a JSON string a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["CONFIG_FILE", "TEXTS_FILE", "read_config", "read_texts", "write_index"]

CONFIG_FILE, TEXTS_FILE = "index.json", "texts.jsonl"
_FORMAT, _VERSION = "fastseq-semantic-index", 1


def write_index(folder: Path, config: dict[str, Any], texts: list[str] | None) -> None:
    """Write both files, the second only if there are texts."""
    if texts is not None:
        with (folder / TEXTS_FILE).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(text) + "\n" for text in texts)
    values = {"format": _FORMAT, "format_version": _VERSION, **config, "texts": texts is not None}
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_config(path: Path) -> dict[str, Any]:
    """Return what `index.json` says.

    Raises
    ------
    ValueError
        If it is damaged or of another format.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(config, dict) or (config.get("format"), config.get("format_version")) != (_FORMAT, _VERSION):
        raise ValueError(f"{path} is no index of format {_FORMAT!r}, version {_VERSION}")
    kinds = {"metric": str, "engine": str, "dimension": int, "count": int, "texts": bool}
    wrong = [name for name, kind in kinds.items() if not isinstance(config.get(name), kind)]
    if wrong or not 0 < config["dimension"] < 2**20:
        raise ValueError(f"{path}: {', '.join(wrong) or 'dimension'} is missing or wrong")
    return config


def read_texts(folder: Path) -> Iterator[str]:
    """Yield the texts of an index.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged.
    """
    path = folder / TEXTS_FILE
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)
                if not isinstance(text, str):
                    raise ValueError(f"{text!r} is no text")
                yield text
    except FileNotFoundError:
        raise FileNotFoundError(f"no {path}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None
