"""A process that has imported everything, and forks a child for each command it is told to run.

Reads one JSON object a line: `cwd`, `words` of the command line, the files `out` and `err` for what
the command says, `enlarged`, the size to which pictures are enlarged for the pretrained tower, and
when the child is sent `signal`: before its file operation number `operation`, or after so many
`seconds` (null: never). With `room`, no file can grow beyond so many bytes, as on a disk that is
full. Answers with one: exit `status` (-9 if killed), the `operations` counted, and what was
`spoken` to other machines.

File operations are what Python's audit hooks tell of: opening for writing, making, renaming,
linking and deleting. Clocks stand still in the children, so that no file differs by its seconds.
"""

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lightgbm  # noqa: F401
import timm  # noqa: F401
import transformers  # noqa: F401

import pipeline
from extract.spaces import pretrained
from extract.training import training_state as training

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"}
SPEAKING = {"urllib.Request", "http.client.connect"} | {
    f"socket.{name}"
    for name in (
        *("connect", "sendto", "sendmsg", "bind", "getaddrinfo"),
        *("gethostbyname", "gethostbyaddr", "getnameinfo"),
    )
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Short as these trainings are, their states are to be kept.
training.EXPECTED = 0.0


def main() -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        task = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _live(task, write)
        os.close(write)
        timer = None
        if task["seconds"] is not None:
            timer = threading.Timer(task["seconds"], os.kill, (child, task["signal"]))
            timer.start()
        with os.fdopen(read) as pipe:
            told = json.loads(pipe.read() or "{}")
        _, status = os.waitpid(child, 0)
        if timer:
            timer.cancel()
        answer = {"status": os.waitstatus_to_exitcode(status), "operations": 0, "spoken": []}
        print(json.dumps(answer | told), flush=True)


def _live(task: dict, write: int) -> None:
    """Run one command in this child, and end it."""
    os.chdir(task["cwd"])
    # A shell's background jobs are started deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(task[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    if task["room"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["room"],) * 2)
    pretrained.PRETRAINED_SIZE = task["enlarged"]
    time.perf_counter = lambda: 0.0
    sys.argv = ["pipeline.py", *task["words"]]
    done, spoken = 0, []

    def watch(event: str, args: tuple) -> None:
        nonlocal done
        if event in SPEAKING and getattr(args[0], "family", None) != socket.AF_UNIX:
            spoken.append(f"{event} {args}")
        if event in CHANGES or (event == "open" and args[2] and args[2] & WRITES):
            done += 1
            if done == task["operation"]:
                os.kill(os.getpid(), task["signal"])

    sys.addaudithook(watch)
    if task["words"] == ["speak"]:
        socket.gethostbyname("127.0.0.1")
    status = 1
    try:
        status = pipeline.main()
    finally:
        sys.stdout.flush()
        os.write(write, json.dumps({"operations": done, "spoken": spoken}).encode())
        os._exit(status)


if __name__ == "__main__":
    main()
