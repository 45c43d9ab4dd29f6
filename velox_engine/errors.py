"""What can be wrong. Each error carries its values as attributes, so that a program need not read its text."""

from __future__ import annotations

from pathlib import Path
from typing import Final


class VeloxError(Exception):
    """The base of every error that Velox raises on purpose."""


class TransactionError(VeloxError):
    """A transaction's field is outside what its action allows.

    Attributes: ``field`` (name), ``value`` (as given), ``allowed`` (in words).
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"transaction {field}: got {value!r}, allowed is {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


class BundleError(VeloxError):
    """A bundle would hold more transactions than its limit, something else than transactions, or has no valid limit.

    Attributes: ``count`` (transactions offered), ``limit`` (as given).
    """

    def __init__(self, count: int, limit: object, problem: str | None = None) -> None:
        super().__init__(f"bundle: {problem or f'got {count} transactions, allowed are at most {limit}'}")
        self.count = count
        self.limit = limit


class OrderBookError(VeloxError):
    """A book cannot do what was asked: an unknown symbol, a quantity that would overflow.

    Attributes: ``problem`` (in words), ``symbol``, ``side``, ``price``, ``quantity`` (``None`` where not known).
    """

    def __init__(
        self,
        problem: str,
        *,
        symbol: str | int | None = None,
        side: int | None = None,
        price: int | None = None,
        quantity: int | None = None,
    ) -> None:
        given = {"symbol": symbol, "side": side, "price": price, "quantity": quantity}
        told = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
        super().__init__(f"order book: {problem}" + (f" ({told})" if told else ""))
        self.problem = problem
        self.symbol = symbol
        self.side = side
        self.price = price
        self.quantity = quantity


class ConfigError(VeloxError):
    """A setting is unknown, of the wrong type or out of range, or its file cannot be read.

    Attributes: ``problem`` (in words), ``source`` (file, environment variable or option), ``line`` (1-based),
    ``key`` (``section.key``), ``value`` (as given), ``allowed`` (in words); ``None`` where they do not apply.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | Path | None = None,
        line: int | None = None,
        key: str | None = None,
        value: object = None,
        allowed: str | None = None,
    ) -> None:
        place = f"{source}:{line}" if source is not None and line is not None else str(source or "")
        text = ": ".join(part for part in (place, key or "", problem) if part)
        super().__init__(text + (f"; allowed is {allowed}" if allowed else ""))
        self.problem = problem
        self.source = source
        self.line = line
        self.key = key
        self.value = value
        self.allowed = allowed


class FeedError(VeloxError):
    """A recorded file does not hold what its format promises.

    Attributes: ``file``, ``problem`` (what was found and what was expected), ``byte`` (offset in the decompressed
    bytes) or ``line`` (1-based); ``None`` where they do not apply.
    """

    def __init__(self, file: str | Path, problem: str, *, byte: int | None = None, line: int | None = None) -> None:
        place = f", line {line}" if line is not None else f", byte {byte}" if byte is not None else ""
        super().__init__(f"{file}{place}: {problem}")
        self.file = file
        self.problem = problem
        self.byte = byte
        self.line = line


class ClockError(VeloxError):
    """The clock was asked before it was calibrated, or cannot be calibrated."""


_DOES: Final = {"rate": "set the rate", "lease": "watch a book", "watch": "watch a book"}


def cannot(command: str) -> str:
    """Begin the refusal of an engine's command, such as "cannot set the rate"."""
    return f"cannot {_DOES.get(command, command)}"


class EngineError(VeloxError):
    """The engine is in the wrong state for a command, or a worker died.

    Attributes: ``state`` (the engine's state when it was asked).
    """

    def __init__(self, problem: str, *, state: str | None = None) -> None:
        super().__init__(problem)
        self.state = state


class RegionError(VeloxError):
    """A telemetry region cannot be read: damaged, of another layout, not ready yet, or not this user's.

    Attributes: ``path``, ``problem`` (what is said of it, such as "has been cut off").
    """

    def __init__(self, path: str | Path, problem: str) -> None:
        super().__init__(f"{path} {problem}")
        self.path = path
        self.problem = problem
