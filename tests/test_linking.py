"""Functions that only compiled functions call, linked into what is entered: all that is called is there, once."""

import pytest
from numba.extending import overload

from velox_engine import jit
from velox_engine.jit import compiled, inlined, inner, part


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setattr(jit, "cache_directory", lambda: None)


@inner
def deepest(value):
    return 3 * value + 1


@inner
def seems_to_call(value):
    """Its call is there for numba, and is gone when LLVM has seen it."""
    for _ in range(0):
        value += deepest(value)
    return value + 10


@inner
def calls(value):
    return deepest(value) + 100


@inlined
def grown_in(value):
    return calls(value) + deepest(value)


@inner
def factorial(value):
    return value * factorial(value - 1) if value > 1 else 1


def any_kind(value):
    raise NotImplementedError


@overload(any_kind)
def _any_kind(value):
    return lambda value: calls(value) + 1000


@part
def kept(value):
    return calls(value) + any_kind(value)


def seems_first(value):
    return seems_to_call(value) + calls(value)


def calls_first(value):
    return calls(value) + seems_to_call(value)


def all_at_once(value):
    return grown_in(value) + kept(value) + calls(value) + factorial(value)


def by_numba(value):
    return any_kind(value)


@pytest.mark.parametrize(
    "function, expected",
    [
        (seems_first, (7 + 10) + (22 + 100)),
        (calls_first, (7 + 10) + (22 + 100)),
        (by_numba, 22 + 1100),
        (all_at_once, (22 + 100 + 22) + (22 + 100 + 22 + 1100) + (22 + 100) + 5040),
    ],
)
def test_whatever_is_called_is_linked(function, expected):
    assert compiled(function)(7) == expected


def test_other_types_are_other_code():
    function = compiled(seems_first)
    assert (function(7), function(0.5)) == (139, 0.5 + 10 + 2.5 + 100)


def test_only_what_is_entered_has_machine_code():
    function = compiled(calls_first)
    function(7)
    assert function.overloads[function.signatures[0]].library.get_pointer_to_function(
        function.overloads[function.signatures[0]].fndesc.llvm_cpython_wrapper_name
    )
    assert deepest.overloads
    for each in deepest.overloads.values():
        assert not each.library.codegen._engine.is_symbol_defined(each.fndesc.llvm_cpython_wrapper_name)
