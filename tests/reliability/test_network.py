"""With weights that are bundled or local, no command speaks to anybody."""

import sys

from extract.towers.pretrained_weights import load_backbones


def test_no_command_opens_a_connection(undisturbed):
    assert {name: spoken for name, (*_, spoken) in undisturbed.items() if spoken} == {}


def test_the_watch_is_not_deaf(forked_command, tmp_path):
    _, _, [spoken] = forked_command(tmp_path, ["speak"])
    assert spoken.startswith("socket.gethostbyname")


def test_bundled_weights_are_loaded_without_a_connection():
    spoken, listening = [], True

    def listen(event, arguments):
        # A hook cannot be taken away again.
        if listening and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
            spoken.append((event, arguments))

    sys.addaudithook(listen)
    load_backbones("bundled", None, None, "mean")
    listening = False
    assert spoken == []
