"""Files of `torch.save`: a zip archive with a pickle and the numbers, or before PyTorch 1.6 one stream of pickles.

Reading one runs nothing of it: `pickle_machine` says how. Formats: `torch/serialization.py` of PyTorch.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastseq.weights.pickle_machine import PickleMachine
from fastseq.weights.stored import FileContent, StoredTensor, item_size, map_file, place_tensor, read_all
from fastseq.weights.torch_names import Storage, TorchNames, TorchTensor

__all__ = ["open_torch", "read_torch"]

_ZIP = b"PK\x03\x04"
_LOCAL_HEADER = 30  # bytes, then the name and the extra field, whose lengths are its last two numbers
_ENCRYPTED = 0x1
_MAGIC, _STREAM_VERSION = 0x1950A86A20F9469CFC6C, 1001
_MOST_PICKLE_BYTES = 1 << 24  # some 100 000 tensors; each byte may become an object of 64 bytes and more
# Tensors that overlap may ask for more memory than the file has. This is more than any model's, and no bomb.
_MOST_GROWTH, _FREE_BYTES = 16, 1 << 26


def open_torch(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """Describe every tensor of a file; no number is read.

    Parameters
    ----------
    path : str or path
        A dictionary of tensors, such as `model.state_dict()`, saved by `torch.save`.

    Returns
    -------
    dict of str to StoredTensor
        Names of one and the same tensor have the same description.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is something else, or names anything but tensors; the message names the file and
        what is wrong.
    """
    try:
        saved = read_saved(path)
        return saved.tensors(saved.value)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def read_torch(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read every tensor of a file of `torch.save`, without PyTorch and without running anything in it.

    Parameters
    ----------
    path : str or path
        A dictionary of tensors, such as `model.state_dict()`, saved by `torch.save`.

    Returns
    -------
    dict of str to array
        In C order: floats as float32, integers and booleans in their own type. Names of one and the same tensor
        (tied weights) have the same array.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is something else, or names anything but tensors; the message names the file and
        what is wrong.

    Examples
    --------
    >>> read_torch("no-such-file.bin")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file.bin'
    """
    return read_all(open_torch(path))


@dataclass(frozen=True)
class SavedValue:
    """What a file of `torch.save` holds, with its tensors still in the file."""

    value: object
    content: FileContent
    places: Mapping[str, tuple[int, int]]
    big_endian: bool

    def tensors(self, value: object) -> dict[str, StoredTensor]:
        """Describe the tensors of a dictionary that has nothing else; ValueError for anything else."""
        return _tensors(value, self.content, self.places, self.big_endian)


def read_saved(
    path: str | os.PathLike[str], machine: type[PickleMachine] = PickleMachine, names: type[TorchNames] = TorchNames
) -> SavedValue:
    """Run the pickle of a file on a machine.

    Parameters
    ----------
    path : str or path
    machine, names : types of PickleMachine and TorchNames
        What it may build, and what it may name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is something else, or does what the machine does not.
    """
    content = map_file(path)
    if content[: len(_ZIP)] == _ZIP:
        value, places, big_endian = _read_zip(path, content, machine, names())
    else:
        value, places, big_endian = _read_stream(content, machine, names())
    return SavedValue(value, content, places, big_endian)


def _read_zip(
    path: str | os.PathLike[str], content: FileContent, machine: type[PickleMachine], names: TorchNames
) -> tuple[object, dict[str, tuple[int, int]], bool]:
    """Return the pickled value, the first and last byte of each storage, and whether numbers are big-endian."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OverflowError, OSError, EOFError) as error:
        raise ValueError(f"is damaged or no zip archive: {error}") from None
    places: dict[str, tuple[int, int]] = {}
    for entry in entries:
        if entry.filename in places:  # readers would not agree on which of them counts
            raise ValueError(f"the archive has two entries {entry.filename[:100]!r}")
        places[entry.filename] = _entry_place(entry, content)
    pickles = [name for name in places if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"the archive has {len(pickles)} entries */data.pkl; expected one, as torch.save writes")
    folder = pickles[0].removesuffix("data.pkl")
    begin, end = places[pickles[0]]
    if end - begin > _MOST_PICKLE_BYTES:
        raise ValueError(f"the pickle has {end - begin} bytes; expected at most {_MOST_PICKLE_BYTES}")
    begin_order, end_order = places.get(f"{folder}byteorder", (0, 0))
    order = content[begin_order : min(end_order, begin_order + 10)]
    if order not in (b"", b"little", b"big"):
        raise ValueError(f"byteorder is {order!r}; expected little or big")
    value = machine(content[begin:end], 0, names).run()
    data = f"{folder}data/"
    return value, {name.removeprefix(data): p for name, p in places.items() if name.startswith(data)}, order == b"big"


def _entry_place(entry: zipfile.ZipInfo, content: FileContent) -> tuple[int, int]:
    """Return the first byte of an entry's data and the one past its last: they lie in the file as they are."""
    name = repr(entry.filename[:100])
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError(f"entry {name} is compressed; expected plain data, as torch.save writes")
    if entry.flag_bits & _ENCRYPTED:
        raise ValueError(f"entry {name} is encrypted")
    start = entry.header_offset
    header = content[start : start + _LOCAL_HEADER] if start >= 0 else b""
    if len(header) != _LOCAL_HEADER or header[:4] != _ZIP:
        raise ValueError(f"entry {name} has no header where the archive says")
    begin = start + _LOCAL_HEADER + sum(struct.unpack("<HH", header[26:]))
    if begin + entry.file_size > len(content):
        raise ValueError(f"entry {name} ends after the file")
    return begin, begin + entry.file_size


def _read_stream(
    content: FileContent, machine: type[PickleMachine], names: TorchNames
) -> tuple[object, dict[str, tuple[int, int]], bool]:
    """Four pickles (a magic number, a version, the writer's system, the value), keys, each storage after its size."""
    window = content[:_MOST_PICKLE_BYTES]
    position = 0

    def load() -> Any:
        nonlocal position
        running = machine(window, position, names)
        value = running.run()
        position = running.position
        return value

    try:
        magic = load()
    except ValueError:
        magic = None
    if magic != _MAGIC:
        raise ValueError("is no file of torch.save")
    version = load()
    if version != _STREAM_VERSION:
        raise ValueError(f"the version of the stream is not {_STREAM_VERSION}")
    load()  # the writer's system: storages are little-endian whatever it says
    value, keys = load(), load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("the keys of the storages are no list of text")
    places = {}
    for key in keys:
        storage = names.storages.get(key)
        if storage is None or key in places:
            raise ValueError(f"storage {key[:100]!r} is not used, or is there twice")
        header = content[position : position + 8]
        if len(header) != 8 or int.from_bytes(header, "little") != storage.size:
            raise ValueError(f"storage {key[:100]!r} does not begin with its size, {storage.size}")
        begin, position = position + 8, position + 8 + storage.size * item_size(storage.numbers)
        if position > len(content):
            raise ValueError(f"storage {key[:100]!r} ends after the file")
        places[key] = (begin, position)
    return value, places, False


def _tensors(
    value: object, content: FileContent, places: Mapping[str, tuple[int, int]], big_endian: bool
) -> dict[str, StoredTensor]:
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__}; expected a dictionary of tensors")
    wrong = [f"entry {name[:100]!r} is a {type(x).__name__}" for name, x in value.items() if type(x) is not TorchTensor]
    if wrong:
        more = f" and {len(wrong) - 20} more" if len(wrong) > 20 else ""
        raise ValueError(f"{', '.join(wrong[:20])}{more}; expected tensors")
    placed: dict[TorchTensor, StoredTensor] = {}
    for name, tensor in value.items():
        if tensor not in placed:
            try:
                placed[tensor] = _place(tensor, content, places, big_endian)
            except ValueError as error:
                raise ValueError(f"tensor {name[:100]}: {error}") from None
    size = sum(tensor.stored_bytes for tensor in placed.values())
    if size > len(content) * _MOST_GROWTH + _FREE_BYTES:
        raise ValueError(f"its tensors overlap so much that {len(content)} bytes would become {size}")
    return {name: placed[tensor] for name, tensor in value.items()}


def _place(
    tensor: TorchTensor, content: FileContent, places: Mapping[str, tuple[int, int]], big_endian: bool
) -> StoredTensor:
    storage: Storage = tensor.storage
    if storage.key not in places:
        raise ValueError(f"the file has no storage {storage.key[:100]!r}")
    begin, end = places[storage.key]
    if end - begin != storage.size * item_size(storage.numbers):
        raise ValueError(f"storage {storage.key[:100]!r} has {end - begin} bytes, not {storage.size} {storage.numbers}")
    return place_tensor(storage.numbers, tensor.shape, tensor.strides, content, (begin, end), tensor.offset, big_endian)
