"""NamedTuples of arrays that compiled functions hand on by their address.

numba hands a tuple on by value: each array as seven words, so that a stage's state is two hundred arguments of each
function, and most of compiling goes into passing them. A class with `by_reference` is one pointer instead, to a table
of its members, made when Python calls: of an array the address and the lengths, of another such class its own table.
Nothing writes to a table, so what is read from it is read once, whatever the function stores meanwhile.

Compiled code can read the members by their names and no more. Arrays are C-contiguous.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba.core import cgutils, imputils, types
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, lower_getattr_generic, typeof_impl, unbox
from numba.np.arrayobj import populate_array
from numpy.typing import NDArray

C = TypeVar("C", bound=type)

_WORD = ir.IntType(64)
_BYTES = 8


class Reference(types.Type):
    """A class with `by_reference`, and the types of its members."""

    def __init__(self, instance_class: Any, members: tuple[types.Type, ...]) -> None:
        self.instance_class = instance_class
        self.members = dict(zip(instance_class._fields, members, strict=True))
        # short: it becomes part of each symbol's name
        digest = hashlib.sha256(" ".join(map(str, members)).encode()).hexdigest()[:12]
        super().__init__(f"{instance_class.__module__}.{instance_class.__qualname__}.{digest}")

    def word_of(self, name: str) -> int:
        """Return where in the table a member begins."""
        before = list(self.members).index(name)
        return sum(map(_length, list(self.members.values())[:before]))


def _length(member: Any) -> int:
    """Return how many words a member takes in a table."""
    return 1 if isinstance(member, Reference) else 1 + int(member.ndim)


def by_reference(cls: C) -> C:
    """Have compiled functions take values of a NamedTuple by reference."""

    @typeof_impl.register(cls)  # type: ignore[untyped-decorator]
    def typeof(value: Any, context: Any) -> Reference:
        members = tuple(typeof_impl(each, context) for each in value)
        for name, member in zip(value._fields, members, strict=True):
            if not isinstance(member, Reference | types.Array) or getattr(member, "layout", "C") != "C":
                raise TypeError(f"{cls.__name__}.{name} is {member}: not a C-contiguous array, nor by reference")
        return Reference(cls, members)

    return cls


@register_default(Reference)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Reference) -> None:
        super().__init__(manager, kind, ir.IntType(8).as_pointer())


@infer_getattr
class _Members(AttributeTemplate):  # type: ignore[misc]
    key = Reference

    def generic_resolve(self, kind: Reference, name: str) -> types.Type | None:
        return kind.members.get(name)


def _read(builder: Any, table: Any, word: int, kind: Any) -> Any:
    """Read a word of a table: it never changes, so LLVM may read it when and as often as it likes."""
    place = builder.gep(table, [ir.Constant(_WORD, _BYTES * word)])
    found = builder.load(builder.bitcast(place, kind.as_pointer()), align=_BYTES)
    found.set_metadata("invariant.load", builder.module.add_metadata([]))
    return found


@lower_getattr_generic(Reference)  # type: ignore[untyped-decorator]
def _member(context: Any, builder: Any, kind: Reference, table: Any, name: str) -> Any:
    member, word = kind.members[name], kind.word_of(name)
    if isinstance(member, Reference):
        return _read(builder, table, word, context.get_value_type(member))
    array = context.make_array(member)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(member.dtype))
    shape = [_read(builder, table, word + 1 + axis, _WORD) for axis in range(member.ndim)]
    strides = [ir.Constant(_WORD, itemsize)]
    for length in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], length))
    data = _read(builder, table, word, array.data.type)
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
    return imputils.impl_ret_borrowed(context, builder, member, array._getvalue())


def table(value: Any) -> NDArray[np.int64]:
    """Make the table of a value, with those of its members behind it; it holds addresses, and keeps nothing alive."""
    words: list[int] = []
    inner: list[int] = []
    _lay(value, words, inner)
    made = np.array(words, np.int64)
    made[inner] += made.__array_interface__["data"][0]
    return made


def _lay(value: Any, words: list[int], inner: list[int]) -> None:
    """Append a value's words; ``inner`` notes which of them are bytes from the beginning, not addresses."""
    deeper = []
    for member in value:
        if isinstance(member, np.ndarray):
            words += member.__array_interface__["data"][0], *member.shape
        else:
            deeper.append((len(words), member))
            words.append(0)
    for at, member in deeper:
        inner.append(at)
        words[at] = _BYTES * len(words)
        _lay(member, words, inner)


@unbox(Reference)  # type: ignore[untyped-decorator]
def _made_table(kind: Reference, value: Any, c: Any) -> NativeValue:
    builder, api = c.builder, c.pyapi
    words = types.Array(types.int64, 1, "C")
    module = api.import_module(c.context.insert_const_string(builder.module, __name__))
    make = api.object_getattr_string(module, table.__name__)
    made = api.call_function_objargs(make, [value])
    api.decref(make)
    api.decref(module)
    missing = cgutils.is_null(builder, made)
    address = cgutils.alloca_once_value(builder, cgutils.get_null_value(c.context.get_value_type(kind)))
    with builder.if_then(builder.not_(missing)):
        array = c.context.make_array(words)(c.context, builder, c.unbox(words, made).value)
        builder.store(builder.bitcast(array.data, address.type.pointee), address)
    return NativeValue(builder.load(address), is_error=missing, cleanup=lambda: api.decref(made))
