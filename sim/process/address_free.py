"""What a library makes of addresses in memory, without them: the order of its sets, and the numbers of its objects.

A set of objects is iterated in the order of their addresses, a set of texts in that of PYTHONHASHSEED; objects compared by
`id` come in the order of their addresses. None of that is promised, each run of CPython has another one, and a library
that calls back in such an order gives one seed two worlds. Where it is loaded anew for each life of a worker, its sets keep
the order in which their members joined, which is one of those that CPython may have; and `id` counts.

Not reached: `frozenset(...)`, and `id` of what no weak reference can point to, which keeps its address.
"""

from __future__ import annotations

import ast
import builtins
import dis
import weakref
from collections.abc import Callable, Iterable, Iterator, Set
from types import CodeType
from typing import Any, Final

_ADDRESSES_END: Final = 1 << 48
"""Above any address of a process on the machines that Python runs on."""

_SET_DISPLAY: Final = "__set_in_order__"
_WEAK_SET: Final = "__weak_set_in_order__"
_BUILD_SET: Final = dis.opmap["BUILD_SET"]


class _SetsName(type):
    """Of a class that stands for `set` by name: whatever is a set is an instance of it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, builtins.set)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, builtins.set)


class SetInOrder(set[Any], metaclass=_SetsName):
    """A set that is iterated in the order in which its members joined; `pop` takes the first of them."""

    def __init__(self, members: Iterable[Any] = ()) -> None:
        self._order: dict[Any, None] = {}
        super().__init__()
        self.update(members)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._order)

    def add(self, member: Any) -> None:
        super().add(member)
        self._order.setdefault(member)

    def discard(self, member: Any) -> None:
        super().discard(member)
        self._order.pop(member, None)

    def remove(self, member: Any) -> None:
        super().remove(member)
        del self._order[member]

    def pop(self) -> Any:
        for member in self._order:
            self.remove(member)
            return member
        raise KeyError("pop from an empty set")

    def clear(self) -> None:
        super().clear()
        self._order.clear()

    def update(self, *others: Iterable[Any]) -> None:
        for other in others:
            for member in list(other):
                self.add(member)

    def difference_update(self, *others: Iterable[Any]) -> None:
        for other in others:
            for member in list(other):
                self.discard(member)

    def intersection_update(self, *others: Iterable[Any]) -> None:
        kept = builtins.set(self).intersection(*others)
        for member in [each for each in self if each not in kept]:
            self.discard(member)

    def symmetric_difference_update(self, other: Iterable[Any]) -> None:
        for member in list(dict.fromkeys(other)):
            (self.discard if member in self else self.add)(member)

    def copy(self) -> SetInOrder:
        return type(self)(self)

    __copy__ = copy

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.set, (list(self),)

    def union(self, *others: Iterable[Any]) -> SetInOrder:
        made = self.copy()
        made.update(*others)
        return made

    def difference(self, *others: Iterable[Any]) -> SetInOrder:
        made = self.copy()
        made.difference_update(*others)
        return made

    def intersection(self, *others: Iterable[Any]) -> SetInOrder:
        made = self.copy()
        made.intersection_update(*others)
        return made

    def symmetric_difference(self, other: Iterable[Any]) -> SetInOrder:
        made = self.copy()
        made.symmetric_difference_update(other)
        return made

    def __or__(self, other: Any) -> Any:
        return self.union(other) if isinstance(other, Set) else NotImplemented

    def __and__(self, other: Any) -> Any:
        return self.intersection(other) if isinstance(other, Set) else NotImplemented

    def __sub__(self, other: Any) -> Any:
        return self.difference(other) if isinstance(other, Set) else NotImplemented

    def __xor__(self, other: Any) -> Any:
        return self.symmetric_difference(other) if isinstance(other, Set) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return type(self)(other).union(self) if isinstance(other, Set) else NotImplemented

    def __rand__(self, other: Any) -> Any:
        return type(self)(other).intersection(self) if isinstance(other, Set) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return type(self)(other).difference(self) if isinstance(other, Set) else NotImplemented

    def __rxor__(self, other: Any) -> Any:
        return type(self)(other).symmetric_difference(self) if isinstance(other, Set) else NotImplemented

    def __ior__(self, other: Any) -> Any:
        return self._changed(self.update, other)

    def __iand__(self, other: Any) -> Any:
        return self._changed(self.intersection_update, other)

    def __isub__(self, other: Any) -> Any:
        return self._changed(self.difference_update, other)

    def __ixor__(self, other: Any) -> Any:
        return self._changed(self.symmetric_difference_update, other)

    def _changed(self, change: Callable[[Any], None], other: Any) -> Any:
        if not isinstance(other, Set):
            return NotImplemented
        change(other)
        return self


class WeakSetInOrder(weakref.WeakSet[Any]):
    """The same of weak references."""

    def __init__(self, members: Iterable[Any] = ()) -> None:
        super().__init__()
        self.data = SetInOrder()
        self.update(members)


class Numbers:
    """In place of `id`: objects are numbered as they are first asked for, for as long as they live."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._last = _ADDRESSES_END

    def number(self, thing: object, /) -> int:
        """The object's; the address itself of what no weak reference can point to."""
        address = id(thing)
        known = self._of.get(address)
        if known is not None and known[0]() is thing:
            return known[1]
        try:
            reference = weakref.ref(thing)
        except TypeError:
            return address
        self._last += 16
        self._of[address] = (reference, self._last)
        return self._last


def names_without_addresses() -> dict[str, Any]:
    """What a module's code is to find under these names, in one life of a worker."""
    return {"set": SetInOrder, "id": Numbers().number, _SET_DISPLAY: SetInOrder, _WEAK_SET: WeakSetInOrder}


def without_addresses(code: CodeType, source: Callable[[], str | None]) -> CodeType:
    """A module's code, for these names: what it writes as `{a, b}`, `{a for a in b}` and `WeakSet` is in order too.

    Args:
        code: what it was compiled to.
        source: its text; asked for only if it holds any of these. None: there is none, and its code stays as it is.
    """
    text = source() if _makes_sets(code) else None
    if text is None:
        return code
    tree = ast.fix_missing_locations(_Sets().visit(ast.parse(text, code.co_filename)))
    return compile(tree, code.co_filename, "exec", dont_inherit=True)


def _makes_sets(code: CodeType) -> bool:
    if _BUILD_SET in code.co_code[::2] or "WeakSet" in code.co_names:
        return True
    return any(
        _makes_sets(each) if isinstance(each, CodeType) else isinstance(each, frozenset) for each in code.co_consts
    )


class _Sets(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """`x in {a, b}` asks for no order, and is a constant of the compiler's."""
        self.generic_visit_but_sets(node)
        return node

    def generic_visit_but_sets(self, node: ast.Compare) -> None:
        node.left = self.visit(node.left)
        node.comparators = [each if isinstance(each, ast.Set) else self.visit(each) for each in node.comparators]

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        return _call(node, _SET_DISPLAY, ast.List(node.elts, ast.Load()))

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return _call(node, _SET_DISPLAY, ast.ListComp(node.elt, node.generators))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        loads = node.id == "WeakSet" and isinstance(node.ctx, ast.Load)
        return ast.copy_location(ast.Name(_WEAK_SET, ast.Load()), node) if loads else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "WeakSet" and isinstance(node.value, ast.Name) and node.value.id == "weakref":
            return ast.copy_location(ast.Name(_WEAK_SET, ast.Load()), node)
        self.generic_visit(node)
        return node


def _call(node: ast.expr, name: str, argument: ast.expr) -> ast.AST:
    function = ast.copy_location(ast.Name(name, ast.Load()), node)
    return ast.copy_location(ast.Call(function, [ast.copy_location(argument, node)], []), node)
