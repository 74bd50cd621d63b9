"""The small part of YAML that configurations of Marian use: a flat mapping to scalars and lists of scalars."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["read_flat_yaml"]

# A quoted key, or one that does not begin as other things of YAML do; a colon; a value or nothing.
_LINE = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|\'\')*'|[^\s"'#&*!|>%@`\[{?,-].*?|-\S.*?)\s*:(?:\s+(.*))?$""")
_NUMBER = re.compile(r"[-+]?\d+$"), re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?$")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_flat_yaml(text: str) -> dict[str, Any]:
    r"""Read a mapping.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict
        Text, numbers, booleans, None, and lists of them.

    Raises
    ------
    ValueError
        If a line is anything else; the message says which.

    Examples
    --------
    >>> read_flat_yaml("type: s2s\ndim-vocabs:\n  - 100\n  - 90\ntied: [1, 2]\nname: ''")
    {'type': 's2s', 'dim-vocabs': [100, 90], 'tied': [1, 2], 'name': ''}
    """
    values: dict[str, Any] = {}
    key = None
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#") or bare == "---":
            continue
        if bare == "-" or bare.startswith("- "):
            if key is None or not (values[key] is None or isinstance(values[key], list)):
                raise ValueError(f"line {number}: {bare[:60]!r} belongs to no list")
            values[key] = [*(values[key] or []), _scalar(bare[1:].strip(), number)]
            continue
        match = _LINE.match(bare) if line[:1] not in (" ", "\t") else None
        if match is None:
            raise ValueError(f"line {number}: {bare[:60]!r}; expected 'key: value' or '- value'")
        key = match.group(1)
        if key[0] in "\"'":
            key = str(_scalar(key, number))
        if key in values:
            raise ValueError(f"line {number}: {key[:60]!r} is there twice")
        values[key] = _value((match.group(2) or "").strip(), number)
    return values


def _value(text: str, number: int) -> Any:
    if text.startswith("["):
        if not text.endswith("]"):
            raise ValueError(f"line {number}: {text[:60]!r} is no list")
        return [_scalar(item.strip(), number) for item in text[1:-1].split(",")] if text[1:-1].strip() else []
    return _scalar(text, number)


def _scalar(text: str, number: int) -> Any:
    if text.startswith('"'):
        try:
            # YAML has \xNN besides the escapes of JSON.
            return json.loads(re.sub(r"(\\\\)|\\x(?=[0-9A-Fa-f]{2})", lambda m: m[1] or "\\u00", text), strict=False)
        except ValueError:
            raise ValueError(f"line {number}: {text[:60]!r} is no quoted text") from None
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'"):
            raise ValueError(f"line {number}: {text[:60]!r} is no quoted text")
        return text[1:-1].replace("''", "'")
    if text[:1] in ("{", "&", "*", "!", "|", ">", "[", "%", "@", "`"):
        raise ValueError(f"line {number}: {text[:60]!r} is more of YAML than a flat mapping needs")
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER[0].match(text) and len(text) < 20:
        return int(text)
    return float(text) if _NUMBER[1].match(text) else text
