"""Reading the pages of a Berkeley DB B-tree: keys and values, nothing else.

The layout is that of Berkeley DB 4.x and 5.x, as its file headers describe it. Nothing is trusted:
page numbers, offsets and lengths are checked against the file, and no page is visited twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from isac2.errors import InputError
from isac2.stacks._regular import refuse_special_file

__all__ = ["read_berkeley_tree"]

_MAGIC_BTREE = 0x00053162
_HEADER = 26
_INTERNAL, _LEAF, _OVERFLOW, _META = 3, 5, 7, 9
_INLINE, _ELSEWHERE, _DELETED = 1, 3, 0x80


def read_berkeley_tree(path: Path, name: str) -> dict[bytes, bytes]:
    """Read all keys and values of one sub-database.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the sub-database; when there is no such one but a single other, that is read.

    Raises
    ------
    InputError
        When the file is no Berkeley DB B-tree, or is broken.
    """
    refuse_special_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        tree = _Tree(data)
        databases = dict(tree.items(tree.root(0)))
        if tree.has_databases:
            place = databases.get(name.encode())
            if place is None and len(databases) == 1:
                place = next(iter(databases.values()))
            if place is None or len(place) != 4:
                raise ValueError(f"it holds no database {name!r}")
            databases = dict(tree.items(tree.root(int.from_bytes(place, "big"))))
    except (ValueError, struct.error) as error:
        raise InputError(f"{path} is not a readable BDB file: {error}.") from None
    return databases


class _Tree:
    """The pages of one file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        if len(data) < 512:
            raise ValueError("it is too short")
        order = next((o for o in "<>" if self._word(o, 12) == _MAGIC_BTREE), None)
        if order is None:
            raise ValueError("it is not a Berkeley DB B-tree")
        self.order = order
        self.page_size = self._word(order, 20)
        if self.page_size not in (1 << power for power in range(9, 17)):
            raise ValueError(f"its pages have {self.page_size} bytes")
        encrypted, _, flags = data[24], data[25], data[26]
        if encrypted or flags & 1:
            raise ValueError("it is encrypted or has checksums")
        self.has_databases = bool(self._word(order, 48) & 0x20)
        self.visited: set[int] = set()

    def _word(self, order: str, offset: int) -> int:
        value: int = struct.unpack_from(order + "I", self.data, offset)[0]
        return value

    def _page(self, number: int, kinds: tuple[int, ...]) -> memoryview:
        """Return a page that has not been visited yet, of one of the kinds expected."""
        start = number * self.page_size
        if start + self.page_size > len(self.data):
            raise ValueError(f"page {number} lies beyond its end")
        if number in self.visited:
            raise ValueError(f"its pages refer to each other in a circle (page {number})")
        self.visited.add(number)
        page = memoryview(self.data)[start : start + self.page_size]
        if page[25] not in kinds:
            raise ValueError(f"page {number} is of the unexpected type {page[25]}")
        return page

    def root(self, meta: int) -> int:
        """Return the root page of the tree whose first page is given."""
        page = self._page(meta, (_META,))
        root: int = struct.unpack_from(self.order + "I", page, 88)[0]
        return root

    def items(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys and values below a page, in the order of the tree."""
        pending = [number]
        while pending:
            current = pending.pop()
            page = self._page(current, (_INTERNAL, _LEAF))
            count = struct.unpack_from(self.order + "H", page, 20)[0]
            if _HEADER + 2 * count > self.page_size:
                raise ValueError(f"page {current} promises {count} entries")
            offsets = struct.unpack_from(f"{self.order}{count}H", page, _HEADER)
            if any(offset + 3 > self.page_size for offset in offsets):
                raise ValueError(f"page {current} has an entry beyond its end")
            if page[25] == _INTERNAL:
                children = [struct.unpack_from(self.order + "I", page, o + 4)[0] for o in offsets]
                pending.extend(reversed(children))
                continue
            for key, value in zip(offsets[::2], offsets[1::2], strict=True):
                if not (page[key + 2] | page[value + 2]) & _DELETED:
                    yield self._item(page, key), self._item(page, value)

    def _item(self, page: memoryview, offset: int) -> bytes:
        """Return the bytes of a key or a value, wherever they are stored."""
        length, kind = struct.unpack_from(self.order + "HB", page, offset)
        if kind == _INLINE:
            if offset + 3 + length > self.page_size:
                raise ValueError("an entry reaches beyond its page")
            return bytes(page[offset + 3 : offset + 3 + length])
        if kind != _ELSEWHERE:
            raise ValueError(f"an entry is of the unexpected type {kind}")
        number, length = struct.unpack_from(self.order + "II", page, offset + 4)
        pieces, found = [], 0
        while number:
            part = self._page(number, (_OVERFLOW,))
            used = struct.unpack_from(self.order + "H", part, 22)[0]
            pieces.append(bytes(part[_HEADER : _HEADER + used]))
            found += len(pieces[-1])
            number = struct.unpack_from(self.order + "I", part, 16)[0]
        if found != length:
            raise ValueError(f"an entry has {found} bytes, not {length}")
        return b"".join(pieces)
