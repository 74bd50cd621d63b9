"""Pickles that try to run something: Python's own machine does run it, ours names it and refuses."""

from __future__ import annotations

import ast
import copyreg
import pickle
import sys
import tracemalloc
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from weight_files import global_name, number, numbers, program, storage, stream, tensor, text, tuple_of, write_archive

import fastseq.weights
from fastseq.weights import read_torch

EXTENSION = 0x7FABCDEF
TARGET = "target_of_hostile_pickles"
FIRE = global_name(TARGET, "fire")

HOSTILE: dict[str, tuple[bytes, str]] = {
    "GLOBAL": (FIRE + b")R", f"global '{TARGET}.fire' is refused"),
    "STACK_GLOBAL": (text(TARGET) + text("fire") + b"\x93)R", f"global '{TARGET}.fire' is refused"),
    "INST": (f"(i{TARGET}\nfire\n".encode(), "opcode INST is refused"),
    "OBJ": (b"(" + FIRE + b"o", f"global '{TARGET}.fire' is refused"),
    "NEWOBJ": (global_name(TARGET, "Fire") + b")\x81", f"global '{TARGET}.Fire' is refused"),
    "NEWOBJ_EX": (global_name(TARGET, "Fire") + b")}\x92", f"global '{TARGET}.Fire' is refused"),
    "BUILD": (global_name(TARGET, "ready") + b"Nb", f"global '{TARGET}.ready' is refused"),
    "an extension code": (b"\x84" + EXTENSION.to_bytes(4, "little") + b")R", "opcode EXT4 is refused"),
}
# What Python's machine cannot be asked to run here: the effects would be real, or it lacks the names.
REFUSED: dict[str, tuple[bytes, str]] = {
    "a global deeper in an allowed module": (
        text("collections") + text("abc.sys.modules.clear") + b"\x93)R",
        "global 'collections.abc.sys.modules.clear' is refused",
    ),
    "a function as a shape": (
        tensor(storage("0", 1), [], []).replace(b"(t\x89", b"(" + FIRE + b")Rt\x89", 1),
        f"global '{TARGET}.fire' is refused",
    ),
    "os.system": (global_name("os", "system") + text("exit 1") + b"\x85R", "global 'os.system' is refused"),
    "posix": (global_name("posix", "system") + text("exit 1") + b"\x85R", "global 'posix.system' is refused"),
    "eval": (global_name("builtins", "eval") + text("1") + b"\x85R", "global 'builtins.eval' is refused"),
    "getattr": (global_name("builtins", "getattr"), "global 'builtins.getattr' is refused"),
    "a pickle in a storage": (
        global_name("torch.storage", "_load_from_bytes") + b"C\x01N\x85R",
        "global 'torch.storage._load_from_bytes' is refused",
    ),
    "untyped storages": (global_name("torch.storage", "UntypedStorage"), "torch.storage.UntypedStorage"),
    "a method of an allowed class": (global_name("collections", "OrderedDict.fromkeys"), "OrderedDict.fromkeys"),
    "a dotted name": (text("torch") + text("_utils._rebuild_tensor_v2") + b"\x93", "is refused"),
    "a global that is no text": (number(1) + number(2) + b"\x93", "a global is not named by text"),
    "a call of text": (text("os.system") + b")R", "a str is called; expected a known function"),
    "a call of a list": (b"])R", "a list is called"),
    "a call without arguments": (global_name("torch", "Size") + b"]R", "is called"),
    "a call of a type": (global_name("torch", "FloatStorage") + b")R", "torch.FloatStorage is called; it only names"),
    "too many arguments": (global_name("collections", "OrderedDict") + b"]\x85R", "does not take 1 arguments"),
    "attributes of a function": (
        global_name("torch", "Size") + b"}b",
        "GlobalName stands where dict should",
    ),
    "attributes of a tensor": (tensor(storage("0", 1), [], []) + b"}b", "TorchTensor stands where dict should"),
    "OBJ of an allowed class": (b"(" + global_name("collections", "OrderedDict") + b"o", "opcode OBJ is refused"),
    "NEWOBJ of an allowed class": (global_name("collections", "OrderedDict") + b")\x81", "opcode NEWOBJ is refused"),
    "NEWOBJ_EX of one": (global_name("collections", "OrderedDict") + b")}\x92", "opcode NEWOBJ_EX is refused"),
    "EXT1": (b"\x82\x01", "opcode EXT1 is refused"),
    "EXT2": (b"\x83\x01\x00", "opcode EXT2 is refused"),
    "PERSID": (b"Pstorage\n", "opcode PERSID is refused"),
    "buffers outside": (b"\x97", "opcode NEXT_BUFFER is refused"),
}


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A module whose members tell when a pickle has run them."""
    calls: list[str] = []

    class Fire:
        def __new__(cls) -> Any:
            calls.append("new")
            return object.__new__(cls)

    class Ready:
        def __setstate__(self, state: object) -> None:
            calls.append("setstate")

    module: Any = types.ModuleType(TARGET)
    module.fire, module.Fire, module.ready = lambda: calls.append("called"), Fire, Ready()
    monkeypatch.setitem(sys.modules, TARGET, module)
    copyreg.add_extension(TARGET, "fire", EXTENSION)
    yield calls
    copyreg.remove_extension(TARGET, "fire", EXTENSION)


def archive(path: Path, content: bytes) -> Path:
    return write_archive(path / "x.bin", content, {"0": b"\0\0\0\0"})


def older(path: Path, content: bytes) -> Path:
    (path / "x.bin").write_bytes(stream(content, ["0"], [(1, b"\0\0\0\0")]))
    return path / "x.bin"


@pytest.mark.parametrize("attack", HOSTILE)
def test_the_attacks_are_real(attack: str, fired: list[str]) -> None:
    pickle.loads(program({"weight": HOSTILE[attack][0]}))
    assert len(fired) == 1


@pytest.mark.parametrize("write", [archive, older])
@pytest.mark.parametrize("attack", HOSTILE | REFUSED)
def test_nothing_runs(attack: str, write: Callable[[Path, bytes], Path], tmp_path: Path, fired: list[str]) -> None:
    content, message = (HOSTILE | REFUSED)[attack]
    path = write(tmp_path, program({"good": tensor(storage("0", 1), [], []), "weight": content}))
    with pytest.raises(ValueError) as caught:
        read_torch(path)
    assert message in str(caught.value) and str(caught.value).startswith(str(path))
    assert fired == []


def test_naming_a_module_does_not_import_it(tmp_path: Path) -> None:
    assert "antigravity" not in sys.modules
    with pytest.raises(ValueError, match=r"global 'antigravity\.webbrowser' is refused"):
        read_torch(archive(tmp_path, program({"x": global_name("antigravity", "webbrowser")})))
    assert "antigravity" not in sys.modules


PERSISTENT_IDS = {
    "text": text("storage"),
    "a list": b"]",
    "a tensor": tensor(storage("0", 1), [], []),
    "too short": tuple_of(text("storage"), global_name("torch", "FloatStorage"), text("0"), text("cpu")),
    "too long": tuple_of(text("storage"), *[b"N"] * 6),
    "another word": tuple_of(text("module"), global_name("torch", "FloatStorage"), text("0"), text("cpu"), number(1)),
    "no type": tuple_of(text("storage"), text("torch.FloatStorage"), text("0"), text("cpu"), number(1)),
    "a function": tuple_of(text("storage"), global_name("torch", "Size"), text("0"), text("cpu"), number(1)),
    "a number as key": tuple_of(text("storage"), global_name("torch", "FloatStorage"), b"K\0", text("cpu"), number(1)),
    "a negative size": tuple_of(text("storage"), global_name("torch", "FloatStorage"), text("0"), b"N", number(-1)),
    "a huge size": tuple_of(text("storage"), global_name("torch", "FloatStorage"), text("0"), b"N", number(1 << 2000)),
    "true as size": tuple_of(text("storage"), global_name("torch", "FloatStorage"), text("0"), b"N", b"\x88"),
    "a view": tuple_of(text("storage"), global_name("torch", "FloatStorage"), text("0"), b"N", number(1), numbers([1])),
}


@pytest.mark.parametrize("wrong", PERSISTENT_IDS)
def test_persistent_ids_of_wrong_kinds(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"persistent id|storage has no|key of a storage|size of a storage|is a view"):
        read_torch(archive(tmp_path, program({"weight": PERSISTENT_IDS[wrong] + b"Q"})))


DEPTH = 200_000  # hashing or comparing tuples so deep overflows the C stack
LIMITS: dict[str, tuple[bytes, str]] = {
    "nested tuples": (b"N" + b"\x85" * DEPTH + b".", "holds a tuple; expected a dictionary"),
    "nested lists": (b"(" * DEPTH + b".", "the stack is empty"),
    "nested tuple as key": (b"}N" + b"\x85" * DEPTH + b"Ns.", "a tuple is a key; expected text"),
    "nested tuple in a set": (b"\x8f(N" + b"\x85" * DEPTH + b"\x90.", "a tuple is a key; expected text"),
    "nested tuple as shape": (
        b"}" + text("x") + global_name("torch", "Size") + b"N" + b"\x85" * DEPTH + b"R",
        "a torch.Size is a tuple",
    ),
    "a list in itself": (b"]q\0h\0a.", "holds a list"),
    "a dictionary in itself": (b"}q\0" + text("self") + b"h\0s.", "entry 'self' is a dict; expected tensors"),
    "the last memo": (b"}r\xff\xff\xff\xff0", "opcode '0' is refused"),
    "a memo not set": (b"j\xff\xff\xff\xff.", "memo 4294967295 is not set"),
    "long text": (b"\x8d" + b"\xff" * 8, "the pickle ends too early"),
    "long bytes": (b"B\xff\xff\xff\x7f", "the pickle ends too early"),
    "a long frame": (b"\x95" + b"\xff" * 8 + b"N.", "holds a NoneType"),
    "a long number": (b"\x8b\xff\xff\xff\x7f1", "opcode '\\x8b' is refused"),
    "number of digits": (b"L" + b"9" * 10**5 + b"L\n.", "opcode 'L' is refused"),
    "no end": (b"}", "the pickle ends too early"),
    "nothing": (b"", "the pickle ends too early"),
    "no value": (b".", "the stack is empty"),
    "no mark": (b"}u.", "there is no MARK"),
    "a key without value": (b"}(" + text("x") + b"u.", "a key has no value"),
    "items of a list": (b"](" + text("x") + b"Nu.", "list stands where dict should"),
    "a global without end": (b"c" + b"a" * 1000, "the pickle ends too early"),
    "text that is none": (b"X\x01\0\0\0\xff.", "can't decode"),
    "a newer protocol": (b"\x80\x06N.", "pickle protocol 6; expected at most 5"),
    "a long name": (global_name("a" * DEPTH, "b"), "is refused"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_programs_without_measure(limit: str, tmp_path: Path) -> None:
    content, message = LIMITS[limit]
    with pytest.raises(ValueError) as caught:
        read_torch(archive(tmp_path, content))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("limit", [name for name, (content, _) in LIMITS.items() if len(content) < 10_000])
def test_short_programs_need_little_memory(limit: str, tmp_path: Path) -> None:
    path = archive(tmp_path, LIMITS[limit][0])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            read_torch(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_pickle_larger_than_any_models_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the pickle has 16777217 bytes; expected at most 16777216"):
        read_torch(archive(tmp_path, b"]" * ((1 << 24) + 1)))


def test_the_readers_have_no_way_to_run_anything() -> None:
    allowed = {"__future__", "collections", "dataclasses", "fastseq", "json", "math", "mmap", "numpy", "os", "pathlib"}
    allowed |= {"h5py", "io", "re", "safetensors", "struct", "typing", "zipfile"}
    for path in Path(fastseq.weights.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom):
                assert node.module and node.module.split(".")[0] in allowed, path
            elif isinstance(node, ast.Name):
                assert node.id not in ("eval", "exec", "getattr", "setattr", "compile", "__import__", "globals"), path
