"""Simulators in processes of their own, here or on other hosts.

`serve` makes a room's simulator wait for mosaik at an address; every connection gets a simulator of its own, so one
server lasts for many runs. `Elsewhere` is how a world reaches it. What crosses is JSON; floats survive it bit by bit.

Whoever can reach the address can have the simulator read files and, with a policy or battery rule from a file, run
code of that host: it binds to the loopback interface unless told otherwise.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import mosaik_api_v3
from mosaik.exceptions import ConnectionClosedError, SimulationError
from mosaik.proxies import RemoteProxy
from mosaik.starters import ConnectStarter
from mosaik_api_v3.connection import Channel, EndOfRequests, RemoteException

from simulators.errors import InputError, SimulatorLost
from simulators.rooms import host_and_port, simulator_class

GONE_AFTER_S = (4, 2, 2)
"""TCP keep-alive of a silent connection: first probe after s, further ones every s, given up after so many: 8 s."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> parse_address("127.0.0.1:5555")
    ('127.0.0.1', 5555)
    """
    found = host_and_port(text)
    if found is None:
        raise InputError(f"--listen: {text!r} given, expected HOST:PORT, e.g. 127.0.0.1:5555")
    return found


def serve(room: str, address: str) -> None:
    """Let the simulator of a room wait for mosaik at an address, run after run, until interrupted.

    Raises
    ------
    InputError
        If the room is unknown, or the address is no address or taken.
    """
    simulator = simulator_class(room)
    host, port = parse_address(address)
    try:
        asyncio.run(_serve(simulator, host, port, room))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        raise InputError(f"--listen {address}: {error.strerror or error}, expected a free address") from None


async def _serve(simulator: Callable[[], mosaik_api_v3.Simulator], host: str, port: int, room: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer)
        try:
            await mosaik_api_v3.run_simulator(channel, simulator(), api_compliant=True)
        except (EndOfRequests, ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side is gone; the next one gets a fresh simulator
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, port)
    print(f"{room}: waiting for mosaik at {host}:{port} (Ctrl-C ends it)", flush=True)
    async with server:
        await server.serve_forever()


class _Channel(Channel):
    """A channel that fails whoever waits once the connection is gone; mosaik's would leave them waiting."""

    async def _receive_forever(self) -> None:
        try:
            await super()._receive_forever()
        except (OSError, ValueError) as error:
            for future in self._outgoing_request_futures.values():
                if not future.done():
                    future.set_exception(asyncio.IncompleteReadError(str(error).encode(), None))
            self._incoming_requests.put_nowait(EndOfRequests())

    async def send(self, value: Any) -> Any:
        if self._receiver_task.done():  # nobody would ever read the answer
            raise asyncio.IncompleteReadError(b"", None)
        return await super().send(value)


class _Proxy(RemoteProxy):
    """A simulator elsewhere whose errors are those it would raise here; mosaik logs them and ends the run unharmed."""

    async def send(self, request: Any) -> Any:
        name = self._channel._name or "a simulator elsewhere"
        try:
            return await super().send(request)
        except RemoteException as error:
            if error.remote_type == InputError.__name__:
                raise InputError(error.remote_msg) from None
            told = "\n".join([f"{name}: {error.remote_type}: {error.remote_msg}", *error.further_args])
            raise RuntimeError(told) from None
        except (ConnectionClosedError, OSError):
            raise SimulatorLost(f"{name} is gone: it stopped answering (at {request[0]})") from None


class Elsewhere(ConnectStarter):
    """How mosaik reaches a simulator in another process, at a host and port; one that is gone is noticed in 10 s."""

    async def start(self, sim_id: str, mosaik_remote: Any, mosaik_config: Any) -> RemoteProxy:
        """Connect.

        Raises
        ------
        SimulationError
            If nothing answers.
        """
        try:
            opening = asyncio.open_connection(self.host, self.port)
            reader, writer = await asyncio.wait_for(opening, timeout=10.0)
        except (OSError, TimeoutError) as error:
            raise SimulationError(f"{self.host}:{self.port}: {error or 'no answer within 10 s'}") from None
        _keep_alive(writer.get_extra_info("socket"))
        return _Proxy(_Channel(reader, writer, name=sim_id), mosaik_remote)


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), GONE_AFTER_S, strict=True):
        option = getattr(socket, name, None)  # not on every system
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
