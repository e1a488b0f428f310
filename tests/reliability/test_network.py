"""With bundled or local weights, no command uses the network."""

import sys

from extract.towers.pretrained_weights import load_backbones


def test_no_command_opens_a_connection(uninterrupted):
    connections = {name: opened for name, (*_, opened) in uninterrupted.items() if opened}
    assert connections == {}


def test_a_connection_is_detected(forked_command, tmp_path):
    _, _, [connection] = forked_command(tmp_path, ["connect"])
    assert connection.startswith("socket.gethostbyname")


def test_bundled_weights_are_loaded_without_a_connection():
    connections, listening = [], True

    def listen(event, arguments):
        # An audit hook cannot be removed.
        if listening and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
            connections.append((event, arguments))

    sys.addaudithook(listen)
    load_backbones("bundled", None, None, "mean")
    listening = False
    assert connections == []
