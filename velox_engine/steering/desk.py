"""What requests mean: each becomes a command of the engine, and its answer when the command has taken effect."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from velox_engine.errors import EngineError, VeloxError, cannot
from velox_engine.snapshot import State
from velox_engine.steering.connection import Connection, Lease
from velox_engine.steering.protocol import COMMANDS, LEASE_S, REQUESTS

Answered = Callable[[Exception | None], None]
_MOST_WAITING: Final = 16
"""Commands of one connection that have not taken effect yet."""
_LARGEST_ID: Final = 2**53
_MOST_SYMBOLS: Final = 2**31


class Steered(Protocol):
    """An engine, as far as its watchers may steer it."""

    @property
    def state(self) -> State:
        """The state as it is now."""

    def order(self, kind: str, value: Any, answered: Answered) -> None:
        """Hand a command over; ``answered`` is called from another thread. Raises `VeloxError` when refused at once."""

    def lease(self, symbol: int, answered: Answered) -> int:
        """Lease a depth slot; raises `VeloxError` when there is none."""

    def give_back(self, slot: int) -> None:
        """Give a depth slot back; returns at once."""

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Say whether it has ended: commands that have no answer yet get none any more."""


@dataclass(slots=True, eq=False)
class _Request:
    """A command that has not taken effect yet."""

    connection: Connection
    id: int | None
    do: str
    more: dict[str, Any]


class Desk:
    """Takes requests and gives answers, in the server's thread; ``wake`` has it look at what was answered."""

    def __init__(self, engine: Steered, wake: Callable[[], None]) -> None:
        self._engine = engine
        self._wake = wake
        self._answers: deque[tuple[_Request, Exception | None]] = deque()
        self._waiting: list[_Request] = []
        self._looked = 0

    @property
    def waits(self) -> bool:
        """Whether commands wait for their effect."""
        return bool(self._waiting)

    def take(self, connection: Connection, message: dict[str, Any], now: float) -> None:
        """Do what is asked for, or say why not."""
        number = message.get("id")
        if number is not None and (type(number) is not int or abs(number) > _LARGEST_ID):
            self._refuse(connection, None, "id: expected a whole number")
            return
        do = message.get("do")
        try:
            if do == "state":
                self._accept(connection, number, {})
            elif do in ("watch", "unwatch"):
                self._watch(connection, number, do, message, now)
            elif do in COMMANDS:
                self._command(_Request(connection, number, str(do), {}), message)
            else:
                given = f"{do!r}"[:40]
                self._refuse(connection, number, f"do: got {given}; allowed is one of {', '.join(REQUESTS)}")
        except VeloxError as error:
            self._refuse(connection, number, str(error))

    def _command(self, request: _Request, message: dict[str, Any]) -> None:
        connection, do = request.connection, request.do
        if connection.waiting >= _MOST_WAITING:
            raise EngineError(f"{_MOST_WAITING} commands of this connection have not taken effect yet")
        by = f"process {connection.peer.pid}" if connection.peer.pid > 0 else "another process"
        value: Any = None
        if do == "rate":
            value = message.get("per_second")
        elif do == "drain":
            value = f"drain asked for by {by}"
        elif do == "stop":
            drain = message.get("drain", True)
            if not isinstance(drain, bool):
                raise EngineError("drain: expected true or false")
            value = (drain, f"stopped by {by}")
        self._order(request, lambda answered: self._engine.order(do, value, answered))
        connection.answer({"id": request.id, "taken": True})

    def _order(self, request: _Request, order: Callable[[Answered], Any]) -> Any:
        """Give an order whose answer is the request's."""
        request.connection.waiting += 1
        self._waiting.append(request)

        def answered(error: Exception | None) -> None:
            self._answers.append((request, error))
            self._wake()

        try:
            return order(answered)
        except VeloxError:
            self._waiting.remove(request)
            request.connection.waiting -= 1
            raise

    def _watch(self, connection: Connection, number: int | None, do: str, message: dict[str, Any], now: float) -> None:
        symbol = message.get("symbol")
        if type(symbol) is not int or not 0 <= symbol < _MOST_SYMBOLS:
            raise EngineError("symbol: expected the index of a symbol")
        held = connection.leases.get(symbol)
        if do == "unwatch":
            if held is not None:
                del connection.leases[symbol]
                self._engine.give_back(held.slot)
            self._accept(connection, number, {})
        elif held is not None:
            held.renewed = now
            self._accept(connection, number, {"slot": held.slot})
        else:
            request = _Request(connection, number, do, {})
            slot = self._order(request, lambda answered: self._engine.lease(symbol, answered))
            request.more = {"slot": slot}
            connection.leases[symbol] = Lease(slot, now)

    def look(self) -> list[Connection]:
        """Send the answers of what has taken effect; return the connections that did not take theirs."""
        gone = []
        while self._answers:
            request, error = self._answers.popleft()
            if request in self._waiting:
                gone += self._settle(request, error)
        if self._waiting and self._engine.wait_stopped(0):
            self._looked += 1
            if self._looked > 1:  # what came as it ended may have been answered meanwhile, but nothing comes later
                gone += self.settle_all()
        return gone

    def settle_all(self) -> list[Connection]:
        """Answer everything that an ended engine left unanswered: a stop is satisfied, all else refused."""
        gone = []
        for request in list(self._waiting):
            error = EngineError(f"{cannot(request.do)} while {self._engine.state.word}")
            gone += self._settle(request, None if request.do == "stop" else error)
        return gone

    def _settle(self, request: _Request, error: Exception | None) -> list[Connection]:
        self._waiting.remove(request)
        connection = request.connection
        connection.waiting -= 1
        try:
            if error is None:
                self._accept(connection, request.id, request.more)
            else:
                self._refuse(connection, request.id, str(error))
        except ConnectionError:
            return [connection]
        return []

    def expire(self, connection: Connection, now: float) -> None:
        """Give back the leases that were not renewed: whoever holds them does not look any more."""
        for symbol, lease in list(connection.leases.items()):
            if now - lease.renewed > LEASE_S:
                del connection.leases[symbol]
                self._engine.give_back(lease.slot)

    def leave(self, connection: Connection) -> None:
        """Give back all that a connection held."""
        for lease in connection.leases.values():
            self._engine.give_back(lease.slot)
        connection.leases.clear()

    def _accept(self, connection: Connection, number: int | None, more: dict[str, Any]) -> None:
        connection.answer({"id": number, "ok": True, "state": self._engine.state.word, **more})

    def _refuse(self, connection: Connection, number: int | None, problem: str) -> None:
        connection.answer({"id": number, "ok": False, "error": problem, "state": self._engine.state.word})
