"""How numba is made to optimize each function once, where it is used, instead of once more at every floor above it.

numba optimizes each function that it compiles together with all that it calls, emits machine code for the whole, and
does so again for each caller, up a house of a dozen floors. Here a function that only compiled functions call stays as
it was lowered; what is entered from Python links it, and all that it calls in turn, and optimizes the lot once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numba import _dynfunc
from numba.core import config, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import PassManager, register_pass

# they fuse expressions of whole arrays, and inline functions inside functions: there are none, and looking takes time
_UNUSED = (typed_passes.NopythonRewrites, untyped_passes.InlineClosureLikes)
_DEFAULTS = Flags().values()


class _Flags(Flags):  # type: ignore[misc]  # numba has no types
    """numba's flags, told in one go: it compares them at each look into its tables."""

    def values(self) -> dict[str, Any]:
        """Return the values of all options."""
        return {**_DEFAULTS, **self._values}


class _Part(JITCodeLibrary):  # type: ignore[misc]
    """The code of a function that only compiled functions call: never optimized, nor made machine code of, alone."""

    def finalize(self) -> None:
        """Take nothing more; what is called is linked by who is entered."""
        self._raise_if_finalized()
        self._finalized = True

    def alone(self) -> Any:
        """Return the function's module without what it calls."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        """Return a module with all that it calls in it, for a library of numba's own, which does not follow parts."""
        whole = self.alone().clone()
        for library in _all(self._linking_libraries):
            whole.link_in(_module(library), preserve=True)
        return whole


class _Whole(JITCodeLibrary):  # type: ignore[misc]
    """The code of a function that is entered from Python or kept in the cache, with all that it calls."""

    def finalize(self) -> None:
        """Link all that is called, directly or not, once; optimize, and make machine code."""
        for library in _all(self._linking_libraries):
            self._final_module.link_in(_module(library), preserve=True)
        self._linking_libraries.clear()
        super().finalize()

    def _verify_declare_only_symbols(self) -> None:
        """Find what is called and was not linked: a call would crash the process. Unoptimized code names more."""
        missing = [each.name for each in self._final_module.functions if each.is_declaration and _is_ours(each.name)]
        if missing and config.OPT > 0:
            raise AssertionError(f"{self.name} calls what was not linked: {', '.join(missing)}")


def _is_ours(name: str) -> bool:
    """Whether numba made this symbol's name."""
    return name.startswith("_ZN")


def _module(library: Any) -> Any:
    return library.alone() if isinstance(library, _Part) else library._get_module_for_linking()


def _all(libraries: Iterable[Any]) -> list[Any]:
    """Return libraries, and what parts among them call in turn, each once and behind all that call it.

    LLVM links of a module only what was called before; what is called later alone would be missing.
    """
    seen: set[Any] = set()
    callers_last: list[Any] = []
    # a library is put down when all that it calls has been
    waiting = [(library, False) for library in libraries]
    while waiting:
        library, put_down = waiting.pop()
        if put_down:
            callers_last.append(library)
        elif library not in seen:
            seen.add(library)
            waiting.append((library, True))
            if isinstance(library, _Part):
                waiting.extend((each, False) for each in library._linking_libraries)
    return callers_last[::-1]


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(typed_passes.NativeLowering):  # type: ignore[misc]
    """numba's lowering of a function that is given no entry."""

    _name = "part_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower the function, and make it known to those that call it."""
        flags = state.flags
        state.flags = flags.copy()
        state.flags.no_compile = True
        super().run_pass(state)
        state.flags = flags
        lowered = state["cr"]
        name = lowered.fndesc.qualname.rpartition(".")[2]
        # numba knows a function by this object, which would be its entry from Python
        function = _dynfunc.make_function(lowered.fndesc.lookup_module(), name, "", 0, lowered.env, (state.library,))
        lowered = lowered._replace(cfunc=function)
        state.targetctx.insert_user_function(lowered.cfunc, lowered.fndesc, [state.library])
        state["cr"] = lowered
        return True


class _Compiler(CompilerBase):  # type: ignore[misc]
    """numba's compiler, with a library of ours."""

    library: type[JITCodeLibrary]
    lowering: type[typed_passes.NativeLowering]

    def __init__(self, typing_context: Any, context: Any, library: Any, args: Any, result: Any, flags: Any, kinds: Any):
        super().__init__(typing_context, context, library, args, result, _Flags(flags), kinds)

    def define_pipelines(self) -> list[PassManager]:
        """Return numba's passes, less those that nothing here needs."""
        state = self.state
        if state.library is None:
            state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        manager = PassManager("nopython")
        for each, what in DefaultPassBuilder.define_nopython_pipeline(state).passes:
            if each not in _UNUSED:
                manager.add_pass(self.lowering if each is typed_passes.NativeLowering else each, what)
        manager.finalize()
        return [manager]


class PartCompiler(_Compiler):
    """For what only compiled functions call."""

    library = _Part
    lowering = _PartLowering


class WholeCompiler(_Compiler):
    """For what is entered from Python, or kept in the cache."""

    library = _Whole
    lowering = typed_passes.NativeLowering
