"""ASGI middleware that refuses requests before a route sees them, and sets security headers."""

import asyncio
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 20_000_000
"""Maximum bytes of one request's body."""

MAX_BODIES = 10 * MAX_BODY
"""Maximum bytes of all bodies in memory at once."""

BODY_SECONDS = 120
"""Maximum time in which a body must arrive: a client that sends on and on holds memory."""

RETRY = {"Retry-After": "1"}

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """Add SECURITY_HEADERS to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, with_headers)


class RequireToken:
    """Answer 401 to requests without `Authorization: Bearer TOKEN`, except on `open_paths`."""

    def __init__(self, app: ASGIApp, token: str, open_paths: frozenset[str]) -> None:
        self.app = app
        self.expected = f"Bearer {token}".encode("latin-1")
        self.open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"] not in self.open_paths:
            given = Headers(scope=scope).get("authorization", "").encode("latin-1")
            if not secrets.compare_digest(given, self.expected):
                detail = "The token is missing or wrong. Send the header: Authorization: Bearer ..."
                refusal = refuse(401, detail, {"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


class SameOrigin:
    """Answer 403 if a page of another origin sends anything but a read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and _host_of(origin) != headers.get("host", "").lower():
                detail = "A page of another origin sent this; allowed are this service's own pages."
                await refuse(403, detail)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _host_of(origin: str) -> str:
    """Return the host and port of an Origin header, such as http://127.0.0.1:8000."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class LimitBodies:
    """Answer 413 to a body above MAX_BODY, 429 if the bodies of all requests exceed MAX_BODIES.

    Answer 408 if a body takes longer than BODY_SECONDS. The rest of a refused body is not read into
    memory.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        declared = Headers(scope=scope).get("content-length", "") if "headers" in scope else ""
        if declared.isdecimal() and int(declared) > MAX_BODY:
            await refuse(413, _too_large())(scope, receive, send)
            return
        received, arriving = 0, scope["type"] == "http"
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS

        async def counted() -> Message:
            nonlocal received, arriving
            try:
                async with asyncio.timeout_at(deadline if arriving else None):
                    message = await receive()
            except TimeoutError:
                detail = f"The body took longer than the allowed {BODY_SECONDS} seconds to arrive."
                raise HTTPException(408, detail) from None
            arriving = message.get("more_body", False)
            size = len(message.get("body", b""))
            received += size
            self.held += size
            if received > MAX_BODY:
                raise HTTPException(413, _too_large())
            if self.held > MAX_BODIES:
                raise HTTPException(429, "The service is busy. Try again.", headers=RETRY)
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.held -= received


def _too_large() -> str:
    return f"The request has more than the allowed {MAX_BODY} bytes. Send fewer or smaller memes."


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a response in the shape of all errors of the service."""
    return JSONResponse({"detail": detail}, status, headers)
