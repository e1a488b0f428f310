"""Serve an app with uvicorn in a thread."""

import http.client
import threading
import time
from contextlib import closing, contextmanager

import uvicorn

from serve.server import bound_socket


@contextmanager
def running(app):
    """Serve an app on a free port of this machine; yield "127.0.0.1:PORT"."""
    with closing(bound_socket("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http="h11", log_level="critical"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def ask(connection: http.client.HTTPConnection, *request):
    """Send a request, return status, headers and body."""
    connection.request(*request)
    response = connection.getresponse()
    return response.status, response.headers, response.read()
