"""NamedTuples of arrays that compiled functions hand on by their address.

numba hands a tuple on by value: each array as seven words, so that a stage's state is two hundred arguments of each
function, and most of compiling goes into passing them. A class with `by_reference` is one pointer instead, to a table
of its members, made on the stack when Python calls: of an array the address and the lengths, of another such class its
own table. Nothing writes to a table, so what is read from it is read once, whatever the function stores meanwhile.

Compiled code can read the members by their names and no more. Arrays are C-contiguous.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from llvmlite import ir
from numba.core import cgutils, imputils, types
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, lower_getattr_generic, typeof_impl, unbox
from numba.np.arrayobj import populate_array

C = TypeVar("C", bound=type)

_WORD = ir.IntType(64)
_BYTES = 8


class Reference(types.Type):  # type: ignore[misc]  # numba has no types
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


def _length(member: types.Type) -> int:
    """Return how many words a member takes in a table."""
    return 1 if isinstance(member, Reference) else 1 + int(member.ndim)


def by_reference(cls: C) -> C:
    """Have compiled functions take values of a NamedTuple by reference."""

    @typeof_impl.register(cls)
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


@lower_getattr_generic(Reference)
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


@unbox(Reference)
def _made_table(kind: Reference, value: Any, c: Any) -> NativeValue:
    builder = c.builder
    words: list[Any] = []
    failed = cgutils.false_bit
    for index, member in enumerate(kind.members.values()):
        native = c.unbox(member, c.pyapi.tuple_getitem(value, index))
        failed = builder.or_(failed, native.is_error)
        if isinstance(member, Reference):
            words.append(builder.ptrtoint(native.value, _WORD))
        else:
            array = c.context.make_array(member)(c.context, builder, native.value)
            words += [builder.ptrtoint(array.data, _WORD), *cgutils.unpack_tuple(builder, array.shape, member.ndim)]
    table = cgutils.alloca_once(builder, _WORD, size=ir.Constant(_WORD, len(words)))
    for at, word in enumerate(words):
        builder.store(word, builder.gep(table, [ir.Constant(_WORD, at)]), align=_BYTES)
    # fetched anew from memory, so that LLVM cannot know that it is this table: what is read from it is said never to
    # change, and where both are in one function that would be true only from here on
    kept = cgutils.alloca_once(builder, _WORD)
    builder.store_atomic(builder.ptrtoint(table, _WORD), kept, "release", _BYTES)
    builder.fence("seq_cst")
    address = builder.load_atomic(kept, "acquire", _BYTES)
    return NativeValue(builder.inttoptr(address, c.context.get_value_type(kind)), is_error=failed)
