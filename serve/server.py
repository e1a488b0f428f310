"""Start the web service of a run."""

import logging
import os
import re
import socket
from contextlib import closing, suppress
from pathlib import Path

import uvicorn

from runtime.errors import UserError
from runtime.processes import pause_collection
from serve.finished_models import require_models

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""

TOKEN_VARIABLE = "MEMEFUSE_TOKEN"
TOKEN_FORM = re.compile(r"[\w.~+/=-]{16,200}", re.ASCII)
STOP_SECONDS = 10
"""How long running requests may take when the service stops."""


def serve(
    run: Path, host: str, port: int, token: str | None, device: str, prior: float | str
) -> None:
    """Load the models of a run and answer until Ctrl+C.

    Without `token`, the environment variable MEMEFUSE_TOKEN is used. Raises UserError for an
    unfinished run, a host that needs a token, a bad token, or an address that is not free.
    """
    token = required_token(host, token)
    with closing(bound_socket(host, port)) as listener:
        # The models take some seconds to load, so what can fail at once comes first.
        require_models(run)
        with pause_collection():
            from serve.api import create_app
            from serve.drift.drift_reference import load_check, say_if_unchecked
            from serve.drift.recent_memes import RecentMemes
            from serve.explanations import Explainer
            from serve.predictor import Predictor
            from serve.review.review_memes import read_doubtful_memes
            from serve.review.review_queue import ReviewQueue

            predictor = Predictor(run, device, prior)
        predictor.warm_up()
        say_if_unchecked(run)
        check = load_check(run, predictor.scorer)
        doubtful = read_doubtful_memes(run, predictor.threshold)
        queue = ReviewQueue(
            run / "review.jsonl", doubtful.memes, predictor.threshold, predictor.stamp
        )
        explain = Explainer(predictor, run).explain
        recent = RecentMemes(check) if check else None
        app = create_app(predictor, queue, doubtful, token, explain=explain, recent=recent)
        print(f"{run.name}: {address(host, listener)} (Ctrl+C stops the service)", flush=True)
        run_server(app, listener)


def run_server(app: object, listener: socket.socket) -> None:
    """Serve `app` on a bound socket until the process is told to stop."""
    # Otherwise every broken form of a client is a line of the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    settings = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after it has stopped in order
        uvicorn.Server(settings).run(sockets=[listener])


def required_token(host: str, token: str | None) -> str | None:
    """Return the token of the option or of the environment; None if none is needed."""
    token = token or os.environ.get(TOKEN_VARIABLE) or None
    if token is None and host not in LOOPBACK:
        raise UserError(
            f'--host: found "{host}", which other machines may reach; without a token, allowed: '
            f"{', '.join(LOOPBACK)}. Pass --token, or set {TOKEN_VARIABLE}"
        )
    if token is not None and not TOKEN_FORM.fullmatch(token):
        raise UserError(
            "--token: allowed are 16 to 200 letters, digits and . _ ~ + / = -. To make one, run: "
            'python -c "import secrets; print(secrets.token_urlsafe())"'
        )
    return token


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket with the address. It refuses connections until the server listens."""
    if not 0 <= port <= 65535:
        raise UserError(f"--port: found {port}, allowed: 0 to 65535 (0: any that is free)")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UserError(f'--host: found "{host}", which is no address of this machine') from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(where)
    except OSError as error:
        listener.close()
        raise UserError(
            f"{host}, port {port}: {error.strerror}. Choose another with --host or --port"
        ) from error
    return listener


def address(host: str, listener: socket.socket) -> str:
    """Return the URL of the service."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"
