"""A machine for the pickles that `torch.save` writes, which can build plain values and nothing else.

A pickle is a program for a stack machine (`pickletools.py` of Python's standard library describes each opcode).
Python's own machine imports and calls whatever the program names. This one knows no way to do so: it has the opcodes
for numbers, text, tuples, lists, and dictionaries and sets with keys of text; a global is a pair of words that it hands
to its `World`, which knows a few and refuses others. Opcodes that make instances (INST, OBJ, NEWOBJ, extension codes)
do not exist here.

Work and memory are proportional to the length of the program: nothing is copied that an opcode did not just put there,
and nothing recurses.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

__all__ = ["GlobalName", "PickleMachine", "World"]

_NEWEST_PROTOCOL = 5
_REFUSED = {
    b"i": "INST",
    b"o": "OBJ",
    b"\x81": "NEWOBJ",
    b"\x92": "NEWOBJ_EX",
    b"\x82": "EXT1",
    b"\x83": "EXT2",
    b"\x84": "EXT4",
    b"P": "PERSID",
    b"\x97": "NEXT_BUFFER",
}


@dataclass(frozen=True)
class GlobalName:
    """A module and a name in it, as words: nothing is imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class World(Protocol):
    """What a program may name, and what comes of it. Each raises ValueError for what it does not know."""

    def check_global(self, name: GlobalName) -> None:
        """Refuse a name."""

    def call(self, name: GlobalName, arguments: tuple[Any, ...]) -> object:
        """Return what the named function would make of the arguments."""

    def persistent(self, description: object) -> object:
        """Return what the description outside the pickle means."""


class PickleMachine:
    """Runs one pickle.

    Parameters
    ----------
    content : bytes
    position : int
        Of its first byte. When `run` has returned, of the byte after its last.
    world : World
    """

    actions: ClassVar[Mapping[bytes, Callable[[PickleMachine], None]]]  # by opcode; set below, where they are defined

    def __init__(self, content: bytes, position: int, world: World) -> None:
        self.content = content
        self.position = position
        self.world = world
        self.memo: dict[int, Any] = {}
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each open MARK

    def run(self) -> Any:
        """Return the value that the program leaves.

        Raises
        ------
        ValueError
            If the program is damaged, or does what this machine does not; the message says where.
        """
        start = self.position
        try:
            while (code := self.take(1)) != b".":
                start = self.position - 1
                action = self.actions.get(code)
                if action is None:
                    raise ValueError(f"opcode {_REFUSED.get(code, repr(code)[1:])} is refused: tensors do not need it")
                action(self)
            return self.pop()
        except ValueError as error:
            raise ValueError(f"{error} (pickle, byte {start})") from None

    def take(self, size: int) -> bytes:
        """Return the next bytes of the program."""
        part = self.content[self.position : self.position + size]
        if len(part) != size:
            raise ValueError("the pickle ends too early")
        self.position += size
        return part

    def number(self, format: str) -> Any:
        """Return the next number of the program."""
        return struct.unpack(format, self.take(struct.calcsize(format)))[0]

    def line(self) -> str:
        """Return the next line of the program."""
        end = self.content.find(b"\n", self.position)
        text = self.take(end - self.position if end >= 0 else len(self.content)).decode()
        self.position += 1
        return text

    def key(self, value: Any) -> Any:
        """Return what may be a key of a dictionary or a set: text."""
        # Hashing deep tuples overflows the C stack, and numbers can be chosen so that all have one hash.
        if type(value) is not str:
            raise ValueError(f"a {type(value).__name__} is a key; expected text")
        return value

    def pop(self) -> Any:
        """Take the top of the stack."""
        if not self.stack:
            raise ValueError("the stack is empty")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take everything above the last MARK."""
        if not self.outer:
            raise ValueError("there is no MARK")
        items, self.stack = self.stack, self.outer.pop()
        return items

    def top(self, *kinds: type) -> Any:
        """Return the top of the stack, which must be exactly of one of the types."""
        if not self.stack or type(self.stack[-1]) not in kinds:
            found = type(self.stack[-1]).__name__ if self.stack else "nothing"
            raise ValueError(f"{found} stands where {' or '.join(kind.__name__ for kind in kinds)} should")
        return self.stack[-1]


def _mark(machine: PickleMachine) -> None:
    machine.outer.append(machine.stack)
    machine.stack = []


def _push_global(machine: PickleMachine, module: Any, name: Any) -> None:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise ValueError("a global is not named by text")
    found = GlobalName(module, name)
    machine.world.check_global(found)
    machine.stack.append(found)


def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.pop(), machine.pop()
    _push_global(machine, module, name)


def _reduce(machine: PickleMachine) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, GlobalName) or not isinstance(arguments, tuple):
        raise ValueError(f"a {type(function).__name__} is called; expected a known function")
    machine.stack.append(machine.world.call(function, arguments))


def _build(machine: PickleMachine) -> None:
    machine.pop()  # attributes of an OrderedDict, such as a state dictionary's `_metadata`: no tensors
    machine.top(dict)


def _tuple(size: int) -> Callable[[PickleMachine], None]:
    def action(machine: PickleMachine) -> None:
        items = [machine.pop() for _ in range(size)]
        machine.stack.append(tuple(reversed(items)))

    return action


def _append(machine: PickleMachine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


def _append_all(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.top(list).extend(items)


def _set_items(machine: PickleMachine, items: list[Any]) -> None:
    target = machine.top(dict)
    if len(items) % 2:
        raise ValueError("a key has no value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[machine.key(key)] = value


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _add_all(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.top(set).update(map(machine.key, items))


def _remember(machine: PickleMachine, index: int) -> None:
    if not machine.stack:
        raise ValueError("the stack is empty")
    machine.memo[index] = machine.stack[-1]


def _recall(machine: PickleMachine, index: int) -> None:
    if index not in machine.memo:
        raise ValueError(f"memo {index} is not set")
    machine.stack.append(machine.memo[index])


def _protocol(machine: PickleMachine) -> None:
    protocol = machine.number("<B")
    if protocol > _NEWEST_PROTOCOL:
        raise ValueError(f"pickle protocol {protocol}; expected at most {_NEWEST_PROTOCOL}")


def _push(value: Callable[[PickleMachine], Any]) -> Callable[[PickleMachine], None]:
    def action(machine: PickleMachine) -> None:
        result = value(machine)  # first: it may change which stack is on top
        machine.stack.append(result)

    return action


def _text(format: str) -> Callable[[PickleMachine], None]:
    return _push(lambda machine: machine.take(machine.number(format)).decode("utf-8", "surrogatepass"))


def _bytes(format: str) -> Callable[[PickleMachine], None]:
    return _push(lambda machine: machine.take(machine.number(format)))


_ACTIONS: dict[bytes, Callable[[PickleMachine], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda machine: machine.number("<Q"),  # FRAME: how much to read ahead
    b"(": _mark,
    b"N": _push(lambda machine: None),
    b"\x88": _push(lambda machine: True),
    b"\x89": _push(lambda machine: False),
    b"J": _push(lambda machine: machine.number("<i")),
    b"K": _push(lambda machine: machine.number("<B")),
    b"M": _push(lambda machine: machine.number("<H")),
    b"\x8a": _push(lambda machine: int.from_bytes(machine.take(machine.number("<B")), "little", signed=True)),  # LONG1
    b"G": _push(lambda machine: machine.number(">d")),
    b"X": _text("<I"),
    b"\x8c": _text("<B"),
    b"\x8d": _text("<Q"),
    b"U": _text("<B"),  # str of Python 2
    b"T": _text("<I"),
    b"C": _bytes("<B"),
    b"B": _bytes("<I"),
    b")": _tuple(0),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"t": _push(lambda machine: tuple(machine.pop_mark())),
    b"]": _push(lambda machine: []),
    b"a": _append,
    b"e": _append_all,
    b"}": _push(lambda machine: {}),
    b"s": _set_item,
    b"u": lambda machine: _set_items(machine, machine.pop_mark()),
    b"\x8f": _push(lambda machine: set()),
    b"\x90": _add_all,
    b"\x91": _push(lambda machine: frozenset(map(machine.key, machine.pop_mark()))),
    b"q": lambda machine: _remember(machine, machine.number("<B")),
    b"r": lambda machine: _remember(machine, machine.number("<I")),
    b"\x94": lambda machine: _remember(machine, len(machine.memo)),  # MEMOIZE
    b"h": lambda machine: _recall(machine, machine.number("<B")),
    b"j": lambda machine: _recall(machine, machine.number("<I")),
    b"c": lambda machine: _push_global(machine, machine.line(), machine.line()),
    b"\x93": _stack_global,
    b"R": _reduce,
    b"b": _build,
    b"Q": _push(lambda machine: machine.world.persistent(machine.pop())),
}
PickleMachine.actions = _ACTIONS
