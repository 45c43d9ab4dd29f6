"""Compiled functions that are entered by address, so that the code of each is made once.

numba links whatever a function calls into it and optimizes the whole again, at every floor of a tall house: a book, its
stage, its worker. The book's larger functions are therefore compiled alone, and called through addresses that stand in
`BOOK`. All have one form: four int64 in, the first the address of the `BOOK`, one int64 out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from velox_engine.jit import compile_for

_WORD = ir.IntType(64)


@cache
def entry_address(function: Callable[[int, int, int, int], int]) -> int:
    """Compile a `compiled` function, or load it, and return where it begins in this process."""
    compile_for(function, (0, 0, 0, 0))
    dispatcher: Any = function
    code = dispatcher.overloads[(types.int64,) * 4]
    return int(code.library.get_pointer_to_function(code.fndesc.llvm_cfunc_wrapper_name))


@intrinsic  # type: ignore[untyped-decorator]
def enter(typing_context: Any, function: Any, book: Any, first: Any, second: Any, third: Any) -> Any:
    """Call the function at an address with a `BOOK` record and three int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_WORD, [_WORD] * 4).as_pointer()
        book = builder.ptrtoint(arguments[1], _WORD)
        return builder.call(builder.inttoptr(arguments[0], kind), [book, *arguments[2:]])

    return types.int64(types.int64, book, types.int64, types.int64, types.int64), generate
