"""Files as `torch.save` makes them, put together by hand: right ones, and ones that no `torch.save` would write."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FLOAT = "FloatStorage"


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def numbers(values: Sequence[int]) -> bytes:
    return tuple_of(*map(number, values))


def global_name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def storage(key: str, size: int, kind: str = FLOAT) -> bytes:
    return tuple_of(text("storage"), global_name("torch", kind), text(key), text("cpu"), number(size)) + b"Q"


def tensor(
    storage: bytes, shape: Sequence[int], strides: Sequence[int], offset: int = 0, name: str = "_rebuild_tensor_v2"
) -> bytes:
    hooks = global_name("collections", "OrderedDict") + b")R"
    arguments = tuple_of(storage, number(offset), numbers(shape), numbers(strides), b"\x89", hooks)
    return global_name("torch._utils", name) + arguments + b"R"


def program(entries: Mapping[str, bytes]) -> bytes:
    """Return the pickle of a dictionary; its values are programs."""
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in entries.items()) + b"u."


def write_archive(
    path: Path,
    pickle: bytes,
    storages: Mapping[str, bytes] | None = None,
    byteorder: str | None = "little",
    **changes: Any,
) -> Path:
    """Write the zip format; `changes` are attributes of every entry."""
    contents: dict[str, bytes] = {"archive/data.pkl": pickle}
    if byteorder is not None:
        contents["archive/byteorder"] = byteorder.encode()
    contents |= {f"archive/data/{key}": content for key, content in (storages or {}).items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name)
            for attribute, value in changes.items():
                setattr(entry, attribute, value)
            archive.writestr(entry, content)
    return path


def stream(pickle: bytes, keys: Sequence[str], storages: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the older format: pickles end to end, then each storage after its size."""
    magic, version = b"\x80\x02" + number(0x1950A86A20F9469CFC6C) + b".", b"\x80\x02" + number(1001) + b"."
    system, listed = b"\x80\x02}.", b"\x80\x02](" + b"".join(map(text, keys)) + b"e."
    return magic + version + system + pickle + listed + b"".join(struct.pack("<q", n) + raw for n, raw in storages)
