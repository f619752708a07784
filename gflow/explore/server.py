"""The server of the explorer: one page and one socket on the loopback address, behind a token."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import socket
from importlib.resources import files
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from gflow.data import example_description, example_names
from gflow.explore.calculators import MOST_VISITORS, Pool, Visitor
from gflow.explore.cells import LONGEST_TEXT
from gflow.explore.state import EXPLORED_SIDE

LOOPBACK = "127.0.0.1"
LARGEST_MESSAGE = 2 * LONGEST_TEXT
FILES = ("explore.css", "explore.js", "figures.js", "grid.js", "panels.js", "take.js")
"""What the page loads besides itself, all of it from here."""
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
GONE = "There is no page here. The address of an explorer ends with the token that the command prints."
FULL = f"{MOST_VISITORS} pages are open already, the most that are served at once: close one, and load this again."
ASKS = frozenset({"ask", "open", "example", "report", "stop"})
"""What a page may ask; a matrix too large to be explored comes from the server alone."""


class Server:
    """An explorer that is served: ``await start()``, then ``address``; ``await close()`` ends it.

    Parameters
    ----------
    first : dict
        The message that shows what a page begins with: ``open`` with a link, or ``summary``.
    port : int
        0 takes one that is free.
    framed : bool
        Whether other pages of this machine may show it inside a frame, as notebooks do.
    """

    def __init__(self, first: dict[str, Any], port: int = 0, *, framed: bool = False) -> None:
        self.first, self.wanted, self.framed = first, port, framed
        self.token = secrets.token_urlsafe(18)
        self.pool, self.sockets = Pool(), set[Socket]()
        self.ending: set[asyncio.Future[None]] = set()
        self.port = port

    async def start(self) -> None:
        """Listen on the loopback address; raises ``OSError`` where the port is taken."""
        listening = socket.create_server((LOOPBACK, self.wanted))
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        routes = [(r"/([^/]+)/socket", Socket), (rf"/([^/]+)/({'|'.join(FILES)})?", PageFile), (r"/.*", Nothing)]
        application = Application(
            routes,  # type: ignore[arg-type]
            server=self,
            websocket_max_message_size=LARGEST_MESSAGE,
            websocket_ping_interval=30,
            log_function=lambda handler: None,
        )
        self._http = HTTPServer(application, max_body_size=LARGEST_MESSAGE, max_header_size=16_384)
        self._http.add_sockets([listening])
        self.pool.prepare()

    @property
    def address(self) -> str:
        """Return the address of the page, with its token."""
        return f"http://{LOOPBACK}:{self.port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, str]:
        """Return what a browser of this machine calls the server."""
        return f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"

    async def close(self) -> None:
        """End all processes and listen no more."""
        self._http.stop()
        for each in list(self.sockets):
            each.close(1001, "ended")
        await self.pool.close()
        await self._http.close_all_connections()


class Guarded(RequestHandler):
    """What is answered only to who names this machine and the token."""

    @property
    def home(self) -> Server:
        """Return the server."""
        found: Server = self.settings["server"]
        return found

    def prepare(self) -> None:
        """Raise nothing: answer who names another host (a name that was rebound) or another token, and be done."""
        token = self.path_args[0] if self.path_args else ""
        if self.request.host not in self.home.hosts:
            self.set_status(403)
            self.finish("This page is for the machine on which it was started.")
        elif not hmac.compare_digest(token.encode(), self.home.token.encode()):
            self.set_status(404)
            self.finish(GONE)

    def set_default_headers(self) -> None:
        """Write what a browser is to know: nothing from elsewhere, no address told to others."""
        sockets = " ".join(f"ws://{host}" for host in self.home.hosts)
        frames = "http://localhost:* http://127.0.0.1:* https: vscode-webview:" if self.home.framed else "'none'"
        allowed = f"script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' {sockets}"
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors {frames}",
        )
        for name, value in (
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
            ("Server", "gflow"),
        ):
            self.set_header(name, value)


class Nothing(Guarded):
    """Every other address."""

    def get(self) -> None:
        """Return that there is nothing."""
        self.set_status(404)
        self.finish(GONE)


class PageFile(Guarded):
    """The page, its style and its script."""

    def get(self, token: str, name: str | None) -> None:
        """Return the page, or one of the files that it loads."""
        name = name or "explore.html"
        self.set_header("Content-Type", f"{KINDS[name.split('.')[-1]]}; charset=utf-8")
        self.finish(files("gflow.explore").joinpath("page", name).read_bytes())


class Socket(Guarded, WebSocketHandler):
    """What one open page and its process say to each other."""

    visitor: Visitor | None = None

    def check_origin(self, origin: str) -> bool:
        """Return whether the page that connects is ours."""
        return origin in {f"http://{host}" for host in self.home.hosts}

    async def open(self, *args: str, **kwargs: str) -> None:
        """Begin a visit with a process of its own."""
        if len(self.home.pool.visits) >= MOST_VISITORS:
            await self.say(json.dumps({"full": FULL}))
            self.close(1013, "full")
            return
        examples = [{"name": name, "says": example_description(name)} for name in example_names()]
        await self.say(json.dumps({"hello": {"examples": examples, "largest": EXPLORED_SIDE}}))
        self.home.sockets.add(self)
        self.visitor = Visitor(self.home.pool, self.say, self.home.first)
        await self.visitor.begin()

    async def on_message(self, text: str | bytes) -> None:
        """Pass on what the page asks; what is no message of ours is left out."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        known = isinstance(message, dict) and isinstance(message.get("run"), int) and set(message) & ASKS
        if known and self.visitor is not None:
            await self.visitor.receive({key: message[key] for key in message if key in ASKS | {"run"}})

    def on_close(self) -> None:
        """End the visit."""
        self.home.sockets.discard(self)
        if self.visitor is not None:
            self.home.ending.add(ending := asyncio.ensure_future(self.visitor.end()))
            ending.add_done_callback(self.home.ending.discard)

    async def say(self, text: str) -> None:
        """Write a line to the page, if it is still there."""
        try:
            await self.write_message(text)
        except WebSocketClosedError:
            pass
