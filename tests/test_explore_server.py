"""The server of the explorer, the command and the notebook's function: who is let in, what is kept apart, what ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gflow_studies.benchmarks import explorer
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

import gflow
from gflow.cli import main
from gflow.explore import calculators, explore, first_message, server as serving
from gflow.explore.server import Server
from gflow.explore.state import of_problem

OPENED: list[WebSocketClientConnection] = []
"""The pages that a check has opened, to be closed after it."""
FIRST = first_message(gflow.data.example("fig4"), "fig4")


def served(check: Callable[[Server], Awaitable[None]]) -> None:
    """Run a check on a server that is started before and ended after it."""

    async def run() -> None:
        server = Server(FIRST)
        await server.start()
        try:
            await check(server)
        finally:
            for each in OPENED:
                await left(each)
            OPENED.clear()
            await server.close()
            await asyncio.sleep(0.1)  # what is closed on one side is heard on the other

    asyncio.run(run())


async def left(page: WebSocketClientConnection) -> None:
    """Close a page and wait until the other side has heard of it: no socket is left to the collector."""
    page.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5.0):
            while page.close_code is None and await page.read_message() is not None:
                pass


async def status(address: str, **headers: str) -> int:
    try:
        return (await AsyncHTTPClient().fetch(HTTPRequest(address, headers=headers))).code
    except HTTPClientError as error:
        return error.code


async def opened(server: Server) -> WebSocketClientConnection:
    address = server.address.replace("http:", "ws:") + "socket"
    headers = {"Origin": server.address.split(f"/{server.token}")[0]}
    found = await websocket_connect(HTTPRequest(address, headers=headers))
    OPENED.append(found)
    return found


async def heard(page: WebSocketClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first message of a kind."""
    while (text := await page.read_message()) is not None:
        if wanted(said := json.loads(text)):
            return said
    raise AssertionError("the connection has ended")


def part(name: str, run: int) -> Callable[[dict[str, Any]], bool]:
    return lambda said: said.get("part") == name and said["run"] == run


def test_only_this_machine_with_the_token_sees_the_page_and_nothing_else() -> None:
    async def check(server: Server) -> None:
        home = server.address
        assert home.startswith("http://127.0.0.1:") and len(server.token) >= 24
        assert [await status(home + name) for name in ("", "explore.js", "take.js")] == [200] * 3
        away = [home.replace(server.token, "guess"), home[:-1], home + "state.py", home + "../../setup.cfg"]
        away += [home + "%2e%2e%2fworker.py", f"http://127.0.0.1:{server.port}/"]
        assert [await status(each) for each in away] == [404] * len(away)
        assert await status(home, Host="elsewhere.example") == 403
        answer = await AsyncHTTPClient().fetch(home)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        asked |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        for origin in ("http://elsewhere.example", "null", f"http://127.0.0.1:{server.port + 1}"):
            assert await status(home + "socket", Origin=origin, **asked) == 403

    served(check)


def test_two_visitors_share_nothing_and_what_is_no_question_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_VISITORS", 2)

    async def check(server: Server) -> None:
        one, two = await opened(server), await opened(server)
        await one.write_message(json.dumps({"run": 1, "open": "m=1,2;3,*"}))
        await two.write_message(json.dumps({"run": 1, "open": ""}))
        assert (await heard(one, part("limit", 1)))["answer"]["matrix"][1][1] == pytest.approx(6.0)
        assert (await heard(two, part("state", 1)))["answer"]["name"] == "fig4"
        third = await opened(server)
        assert "are open already" in (await heard(third, lambda said: "full" in said))["full"]
        for junk in ("no json", "[]", '{"run": 1}', '{"run": "x", "stop": 1}', "[" * 10_000):
            await two.write_message(junk)
        await two.write_message(json.dumps({"run": 2, "summary": {"shape": [2, 2]}, "stop": True}))
        assert (await heard(two, lambda said: said["run"] == 2))["stopped"]
        await two.write_message("x" * (serving.LARGEST_MESSAGE + 1))
        while await two.read_message() is not None:
            pass  # what was on its way, and then the end
        await one.write_message(json.dumps({"run": 2, "open": "m=1,2;4,*"}))
        assert (await heard(one, part("limit", 2)))["answer"]["matrix"][1][1] == pytest.approx(8.0)

    served(check)


def test_a_process_that_does_not_listen_or_has_ended_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calculators, "OBEYS_WITHIN", 0.3)

    async def check(server: Server) -> None:
        page = await opened(server)
        await page.write_message(json.dumps({"run": 1, "open": "m=1,2;3,*"}))
        await heard(page, part("limit", 1))
        (visit,) = server.pool.visits
        assert visit.calculator is not None
        first = visit.calculator.process
        os.kill(first.pid, 19)  # it stops where it is
        await page.write_message(json.dumps({"run": 2, "open": "m=1,2;5,*"}))
        assert (await heard(page, part("limit", 2)))["answer"]["matrix"][1][1] == pytest.approx(10.0)
        assert visit.calculator.process.pid != first.pid and first.returncode is not None
        await visit.end()
        assert visit.calculator is None and not server.pool.visits

    served(check)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield busy.getsockname()[1]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["nothing.csv"], "nothing.csv: No such file or directory"),
        (["--example", "nothing"], "name must be one of"),
        (["--link", "http://x/#depth=2"], "this is no link of an explorer"),
        (["--link", "m=1", "--example", "fig3"], "leave out FILE and --example"),
        (["--port", "80"], "a number from 1024 to 65535"),
        (["--port", "70000"], "a number from 1024 to 65535"),
    ],
)
def test_the_command_refuses_in_one_sentence(argv: list[str], says: str, capsys: Any) -> None:
    assert main(["explore", *argv]) == 2
    said = capsys.readouterr()
    assert says in said.err and len(said.err.splitlines()) == 1 and said.out == ""


def test_a_port_that_is_taken_is_told(taken: int, capsys: Any) -> None:
    assert main(["explore", "--port", str(taken)]) == 2
    assert f"port {taken} cannot be had" in capsys.readouterr().err


def test_what_is_missing_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tornado"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "gflow.explore.server")
    monkeypatch.setitem(sys.modules, "tornado", None)
    assert main(["explore"]) == 2
    assert "pip install 'gflow-toolkit[explore]'" in capsys.readouterr().err
    with pytest.raises(ImportError, match="gflow-toolkit"):
        explore([[1.0, np.nan]])


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process be started that nobody asks anything."""
    monkeypatch.setattr(calculators.Pool, "prepare", lambda self, after=0.0: None)


def test_the_command_writes_its_address_and_ends_in_time(idle: None, capsys: Any) -> None:
    assert main(["explore", "--example", "fig4", "--timeout", "0.05", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"].startswith("http://127.0.0.1:")
    assert main(["explore", "--timeout", "0.05"]) == 0
    assert "Ctrl-C ends it" in capsys.readouterr().out


def test_a_notebook_shows_the_page_and_closes_it(idle: None) -> None:
    explorer = explore([[1.0, 2.0], [3.0, np.nan]], name="<mine>")
    try:
        assert f'<iframe src="{explorer.address}"' in explorer._repr_html_() and explorer.address in repr(explorer)
        found = asyncio.run(_fetched(explorer.address))
        assert "frame-ancestors http://localhost:*" in found.headers["Content-Security-Policy"]
    finally:
        explorer.close()
    explorer.close()
    assert repr(explorer) == "Explorer(closed)" and "closed" in explorer._repr_html_()
    with pytest.raises(OSError):
        asyncio.run(_fetched(explorer.address))


async def _fetched(address: str) -> Any:
    return await AsyncHTTPClient().fetch(address)


def test_a_page_begins_with_the_matrix_or_with_the_summary_of_a_large_one() -> None:
    problem = gflow.data.example("fig3")
    assert first_message(problem, "fig3") == {"run": 0, "open": of_problem(problem, "fig3").link(), "name": "fig3"}
    large = first_message(gflow.MatrixCompletion(np.ones((13, 2))), "large")
    assert large["summary"]["shape"] == [13, 2]


def test_the_benchmark_measures_answers_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "PAUSE", 0.0)
    text, found = explorer.explorer(1, 10)
    assert set(found["median"]) == {"4", "8"} and min(found["median"].values()) > 0.0
    assert "edit to limit" in text and all(size > 10.0 for size in found["memory"].values())
