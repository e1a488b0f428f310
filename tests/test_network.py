"""With weights that are bundled or local, no command speaks to anybody."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WATCHED = """
import socket, sys

heard = []
speaking = {"urllib.Request", "http.client.connect"}
speaking |= {f"socket.{name}" for name in ("connect", "sendto", "sendmsg", "bind", "getaddrinfo",
    "gethostbyname", "gethostbyaddr", "getnameinfo")}

def listen(event, arguments):
    if event in speaking and getattr(arguments[0], "family", None) != socket.AF_UNIX:
        heard.append(f"{event} {arguments}")

sys.addaudithook(listen)
socket.gethostbyname("127.0.0.1")
assert len(heard) == 1, "the watch is deaf"
heard.clear()
"""
COMMANDS = """
import pipeline
from extract.backbones import load_backbones

for line in sys.stdin.read().splitlines():
    sys.argv = ["pipeline.py", *line.split()]
    assert pipeline.main() in (0, 1 if line.startswith("check") else 0), line
load_backbones("bundled", None, None, "mean")
sys.exit("\\n".join(heard) or 0)
"""


def test_no_command_opens_a_connection(tmp_path, tiny_sample, tiny_weights):
    shutil.copytree(tiny_sample, tmp_path / "memes")
    shutil.copytree(tiny_weights, tmp_path / "w")
    towers = "--image-weights w/image --text-weights w/text --image-size 32"
    commands = [
        f"extract --data memes --folds 1 --epochs 1 --device cpu {towers}",
        "fit-heads --heads linear",
        "submit",
        "check",
        "report",
        "predict --data memes --out new.csv",
    ]
    allowed = {k: v for k, v in os.environ.items() if not k.endswith("_OFFLINE")}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + COMMANDS],
        input="\n".join(commands),
        cwd=tmp_path,
        env=allowed | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new.csv").is_file()
