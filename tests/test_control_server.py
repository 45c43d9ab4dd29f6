"""The control socket: what it answers, and that nobody who talks to it badly harms it, or holds others up."""

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from tests.attaching import RawClient
from tests.command import ROOT
from tests.running import until
from velox_engine.errors import ConfigError, EngineError
from velox_engine.snapshot import State
from velox_engine.steering import connection as connections
from velox_engine.steering import desk as desks
from velox_engine.steering import server as servers
from velox_engine.steering.client import ControlClient
from velox_engine.steering.leases import Leases
from velox_engine.steering.protocol import MOST_BYTES, control_path, encoded
from velox_engine.steering.server import ControlServer


class Steered:
    """An engine that notes what it is asked, and answers when the test says so."""

    def __init__(self):
        self.state = State.RUNNING
        self.orders = []
        self.waiting = []
        self.leases = Leases()
        self.at_once = True
        self.refuses = None
        self.ended = False

    def order(self, kind, value, answered):
        self.orders.append((kind, value))
        if self.refuses is not None:
            raise self.refuses
        if self.at_once:
            answered(None)
        else:
            self.waiting.append(answered)

    def lease(self, symbol, answered):
        slot = self.leases.take(symbol, self.state.word)
        self.order("lease", (slot, symbol), answered)
        return slot

    def give_back(self, slot):
        self.leases.give_back(slot)

    def wait_stopped(self, timeout=None):
        return self.ended


@pytest.fixture
def steered():
    return Steered()


@pytest.fixture
def trouble():
    return []


@pytest.fixture
def server(tmp_path, steered, trouble, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a short path, however deep the test's directory is
    made = ControlServer(tmp_path.relative_to(tmp_path) / "e.control", steered, trouble.append)
    made.start()
    yield made
    made.close()
    assert not made._thread.is_alive()
    assert not made.path.exists()


@pytest.fixture
def client(server):
    made = RawClient(server.path)
    yield made
    made.close()


def serves_others(server):
    """Check that another client is still answered."""
    other = RawClient(server.path)
    try:
        assert other.asks({"id": 99, "do": "state"})["ok"]
    finally:
        other.close()


# ---- what is said


def test_a_command_is_taken_and_then_answered_when_it_has_taken_effect(server, client, steered):
    steered.at_once = False
    assert client.asks({"id": 7, "do": "pause"}) == {"id": 7, "taken": True}
    assert steered.orders == [("pause", None)]
    steered.state = State.PAUSED
    steered.waiting[0](None)
    assert client.line() == {"id": 7, "ok": True, "state": "paused"}


def test_what_is_asked_reaches_the_engine_with_who_asked(server, client, steered):
    for message in ({"do": "rate", "per_second": 5}, {"do": "rate", "per_second": "max"}, {"do": "drain"}):
        client.send(message)
    client.send({"do": "stop", "drain": False})
    until(lambda: len(steered.orders) == 4, "all have come")
    by = f"process {os.getpid()}"
    assert steered.orders == [
        ("rate", 5),
        ("rate", "max"),
        ("drain", f"drain asked for by {by}"),
        ("stop", (False, f"stopped by {by}")),
    ]


def test_other_commands_go_through_while_a_drain_lasts(server, client, steered):
    steered.at_once = False
    client.send({"id": 1, "do": "drain"})
    assert client.line() == {"id": 1, "taken": True}
    steered.at_once = True
    assert client.asks({"id": 2, "do": "rate", "per_second": 9})["taken"]
    assert client.line()["id"] == 2
    serves_others(server)
    steered.waiting[0](EngineError("the drain deadline of 5 s passed with 3 transactions inside"))
    answer = client.line()
    assert (answer["id"], answer["ok"]) == (1, False)
    assert "3 transactions inside" in answer["error"]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"id": 1}, "do: got None; allowed is one of state, pause"),
        ({"id": 1, "do": "explode"}, "do: got 'explode'"),
        ({"id": 1, "do": ["pause"]}, "do: got"),
        ({"id": "x", "do": "pause"}, "id: expected a whole number"),
        ({"id": True, "do": "pause"}, "id: expected a whole number"),
        ({"id": 2**60, "do": "pause"}, "id: expected a whole number"),
        ({"id": 1, "do": "stop", "drain": "no"}, "drain: expected true or false"),
        ({"id": 1, "do": "watch"}, "symbol: expected the index of a symbol"),
        ({"id": 1, "do": "watch", "symbol": -1}, "symbol: expected"),
        ({"id": 1, "do": "watch", "symbol": 1e99}, "symbol: expected"),
        ({"id": 1, "do": "watch", "symbol": True}, "symbol: expected"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_what_is_allowed(server, client, message, told):
    answer = client.asks(message)
    assert answer["ok"] is False
    assert told in answer["error"]
    assert client.asks({"id": 5, "do": "state"}) == {"id": 5, "ok": True, "state": "running"}


@pytest.mark.parametrize(
    "error", [EngineError("cannot pause while draining"), ConfigError("got 0", key="k", allowed="more")], ids=str
)
def test_what_the_engine_refuses_is_told_in_its_words(server, client, steered, error):
    steered.refuses = error
    answer = client.asks({"id": 1, "do": "pause"})
    assert (answer["ok"], answer["error"]) == (False, str(error))


# ---- those who talk badly


@pytest.mark.parametrize(
    "data",
    [b"hello\n", b"[1]\n", b"\xff\xfe\n", b"{\n", b"[" * 60_000 + b"\n", b"1" * 60_000 + b"\n", b"null\n"],
    ids=["words", "list", "bytes", "half", "deep", "long number", "null"],
)
def test_what_is_no_request_is_answered_and_ends_the_connection(server, client, data):
    client.send(data)
    answer = client.line()
    assert answer["id"] is None
    assert "expected a" in answer["error"]
    assert client.line() is None
    serves_others(server)


def test_a_line_without_an_end_is_cut_off_at_its_limit(server, client):
    def send_on_and_on():
        while True:
            client.send(b"x" * MOST_BYTES)

    with pytest.raises(ConnectionError):
        send_on_and_on()
    serves_others(server)


def test_a_request_that_comes_in_pieces_is_taken_whole(server, client, steered):
    for byte in encoded({"id": 3, "do": "pause"}):
        client.send(bytes([byte]))
    assert client.line() == {"id": 3, "taken": True}
    assert client.line()["ok"]


def test_half_a_request_has_its_time(server, client, monkeypatch):
    monkeypatch.setattr(connections, "PARTIAL_S", 0.1)
    client.send(b'{"id": 1, "do"')
    assert client.line() is None
    serves_others(server)


def test_who_does_not_read_the_answers_is_dropped(server, client):
    def ask_on_and_on():
        while True:
            client.send({"do": "state"})

    with pytest.raises(ConnectionError):
        ask_on_and_on()
    serves_others(server)


def test_who_asks_nothing_for_long_is_dropped(server, client, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_S", 0.1)
    assert client.line() is None


def test_commands_of_one_connection_do_not_pile_up(server, client, steered):
    steered.at_once = False
    for number in range(desks._MOST_WAITING):
        assert client.asks({"id": number, "do": "pause"})["taken"]
    assert "have not taken effect yet" in client.asks({"id": 99, "do": "pause"})["error"]


def test_more_connections_than_there_may_be_are_refused_and_room_is_made_again(server):
    held = [RawClient(server.path) for _ in range(servers.MOST_CONNECTIONS)]
    try:
        assert all(each.asks({"id": 1, "do": "state"})["ok"] for each in held)
        late = RawClient(server.path)
        assert "others are connected" in late.line()["error"]
        assert late.line() is None
        late.close()
    finally:
        for each in held:
            each.close()
    until(lambda: not server._connections, "all have left")
    serves_others(server)


def test_who_gives_up_before_the_request_was_taken_takes_it_back(server, steered):
    """It may have told its user that the engine does not answer: then the engine must not do it later."""
    gate = threading.Event()
    accept = server._accept
    server._accept = lambda: (gate.wait(20), accept())
    quitter = RawClient(server.path)
    quitter.send({"id": 1, "do": "pause"})
    quitter.close()
    gate.set()
    serves_others(server)
    assert steered.orders == []


def test_a_fault_of_the_server_is_told_and_ends_only_the_server(server, trouble, monkeypatch):
    def broken(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr(server._desk, "take", broken)
    client = RawClient(server.path)
    client.send({"do": "state"})
    assert client.line() is None
    client.close()
    assert trouble == ["nobody can steer any more: the control server failed (RuntimeError: boom)"]


def test_without_descriptors_it_waits_and_goes_on(server, monkeypatch):
    monkeypatch.setattr(servers, "_REST_S", 0.05)
    real, failed = server._listener, []

    class Full:
        def accept(self):
            if len(failed) < 3:
                failed.append(1)
                raise OSError(24, "Too many open files")
            return real.accept()

        def __getattr__(self, name):
            return getattr(real, name)

    full = Full()
    server._selector.unregister(real)
    server._listener = full
    server._selector.register(full, 1)
    serves_others(server)
    assert len(failed) == 3


# ---- leases


def test_a_lease_ends_with_its_connection(server, steered):
    clients = [RawClient(server.path) for _ in range(8)]
    slots = {each.asks({"id": 1, "do": "watch", "symbol": index})["slot"] for index, each in enumerate(clients)}
    assert slots == set(range(8))
    ninth = RawClient(server.path)
    assert "all 8 depth slots are leased" in ninth.asks({"id": 1, "do": "watch", "symbol": 0})["error"]
    clients[3].close()
    until(lambda: len(steered.leases.taken) == 7, "the lease was given back")
    assert ninth.asks({"id": 2, "do": "watch", "symbol": 77})["ok"]
    assert steered.leases.taken[3] == 77
    for each in (*clients, ninth):
        each.close()
    until(lambda: not steered.leases.taken, "all were given back")


def test_a_lease_that_is_asked_for_again_is_the_same_and_can_be_given_back(server, client, steered):
    first = client.asks({"id": 1, "do": "watch", "symbol": 4})
    assert client.asks({"id": 2, "do": "watch", "symbol": 4})["slot"] == first["slot"]
    assert client.asks({"id": 3, "do": "watch", "symbol": 5})["slot"] != first["slot"]
    assert client.asks({"id": 4, "do": "unwatch", "symbol": 4})["ok"]
    assert client.asks({"id": 5, "do": "unwatch", "symbol": 4})["ok"]
    assert list(steered.leases.taken.values()) == [5]


def test_a_lease_that_is_not_renewed_ends(server, client, steered, monkeypatch):
    monkeypatch.setattr(desks, "LEASE_S", 0.2)
    assert client.asks({"id": 1, "do": "watch", "symbol": 4})["ok"]
    until(lambda: not steered.leases.taken, "the lease has ended")
    assert client.asks({"id": 2, "do": "watch", "symbol": 4})["ok"]
    assert list(steered.leases.taken.values()) == [4]


# ---- the end


def test_an_end_answers_those_who_wait(server, client, steered):
    steered.at_once = False
    assert client.asks({"id": 1, "do": "drain"})["taken"]
    assert client.asks({"id": 2, "do": "stop"})["taken"]
    steered.state, steered.ended = State.STOPPED, True
    server.close()
    answers = {each["id"]: each for each in (client.line(), client.line())}
    assert answers[2] == {"id": 2, "ok": True, "state": "stopped"}
    assert answers[1]["error"] == "cannot drain while stopped"
    assert client.line() is None


def test_what_an_ended_engine_never_answers_is_settled(server, client, steered):
    steered.at_once = False
    steered.ended, steered.state = True, State.STOPPED
    assert client.asks({"id": 2, "do": "stop"})["taken"]
    assert client.line() == {"id": 2, "ok": True, "state": "stopped"}


def test_a_client_that_does_not_read_does_not_hold_the_end_up(server, client, steered):
    steered.at_once = False
    client.send({"id": 1, "do": "drain"})
    until(lambda: steered.waiting, "it was taken")
    begun = time.monotonic()
    server.close()
    assert time.monotonic() - begun < 30


# ---- whose it is


def test_the_socket_is_the_owners_alone(server):
    status = server.path.lstat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600


AS_ANOTHER = """
import os, sys
from pathlib import Path
from velox_engine.errors import EngineError
from velox_engine.steering.client import ControlClient
os.setgid(65534); os.setuid(65534)
try:
    ControlClient(Path(sys.argv[1]), "x").ask("stop")
except EngineError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_is_refused_even_where_the_rights_let_him_in(tmp_path, steered, trouble):
    import tempfile

    with tempfile.TemporaryDirectory(prefix="vx") as folder:
        made = ControlServer(control_path(type(tmp_path)(folder, "e.telemetry")), steered, trouble.append)
        made.start()
        try:
            made.path.parent.chmod(0o755)
            made.path.chmod(0o666)
            done = subprocess.run(
                [sys.executable, "-c", AS_ANOTHER, str(made.path)], cwd=ROOT, capture_output=True, text=True, check=True
            )
        finally:
            made.close()
    assert done.stdout == "this engine belongs to user 0, who alone may steer it; you are user 65534\n"
    assert steered.orders == []


def test_a_socket_that_was_left_behind_is_replaced_and_anything_else_is_not(tmp_path, steered, trouble, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = tmp_path.relative_to(tmp_path)
    first = ControlServer(here / "a", steered, trouble.append)
    os.link("a", "b")  # what a process that was killed leaves
    first.close()
    second = ControlServer(here / "b", steered, trouble.append)
    second.start()
    serves_others(second)
    second.close()
    (tmp_path / "c").write_text("precious")
    with pytest.raises(OSError):
        ControlServer(here / "c", steered, trouble.append)
    assert (tmp_path / "c").read_text() == "precious"


def test_a_path_that_is_too_long_for_a_socket_is_shortened(tmp_path):
    short = tmp_path / "x-1.telemetry"
    assert control_path(short).parent == tmp_path
    long = tmp_path / ("n" * 90 + "-1.telemetry")
    assert len(control_path(long).name) < 30
    assert control_path(long) != control_path(tmp_path / ("n" * 90 + "-2.telemetry"))


# ---- our own client


def test_the_client_tells_why_it_cannot_reach_an_engine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = tmp_path.relative_to(tmp_path)
    with pytest.raises(EngineError, match="x cannot be steered: it has no control socket"):
        ControlClient(here / "none", "x")
    import socket

    left = socket.socket(socket.AF_UNIX)
    left.bind("left")
    with pytest.raises(EngineError, match="x cannot be steered: nobody listens at its control socket"):
        ControlClient(here / "left", "x")
    left.close()


def test_the_client_gives_up_on_an_engine_that_does_not_take_or_carry_out(server, steered):
    steered.at_once = False
    with ControlClient(server.path, "x (pid 1)") as asking:
        with pytest.raises(EngineError, match=r"x \(pid 1\) has not carried out 'drain' in time"):
            asking.ask("drain", 0.2)
        steered.waiting[0](None)  # the late answer is not taken for that of the next request
        steered.at_once = True
        assert asking.ask("pause", 20)["id"] == 2
    server._desk.take = lambda *_: None
    with ControlClient(server.path, "x") as asking, pytest.raises(EngineError, match="is stopped or hangs"):
        asking.ask("pause", 0.2)


def test_the_client_tells_when_the_engine_ends_instead_of_answering(server, steered):
    steered.at_once = False
    with ControlClient(server.path, "x") as asking:
        asking.send("drain")
        until(lambda: steered.waiting, "it was taken")
        for connection in list(server._connections.values()):
            connection.socket.shutdown(2)
        with pytest.raises(EngineError, match=r"ended before it answered|closed the connection"):
            asking.ask("pause", 20)
