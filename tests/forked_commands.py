"""A server process that has imported all libraries, and forks a child for each command to run.

Reads one JSON object per line:

- `cwd`, `args`: the working directory and the arguments of pipeline.py, or of `script`
- `script`: another file to run instead (null: pipeline.py)
- `out`, `err`: files to append stdout and stderr to
- `signal`: sent to the child before its file operation number `operation`, or after `seconds`
  (null: never)
- `max_file_bytes`: a limit on the size of every file, to simulate a full disk

Writes one JSON object per command: exit `status` (-9 if killed), the number of file `operations`,
and the network `connections`.

File operations are those reported by Python's audit hooks: open for writing, create, rename, link
and delete. Clocks are stopped in the children, so that no file differs by a duration in it.
Reports have no plots.
"""

import gc
import json
import os
import resource
import runpy
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fast_settings import apply_fast_settings
from PIL import Image
from quick_heads import apply_quick_settings, skip_plots
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

import pipeline
from extract.training import resume_training as training
from runtime.errors import UserError

LOADED_BY_COMMANDS = (
    *("extract.run", "heads.run", "heads.joint", "heads.check.all_checks", "heads.report.build"),
    *("serve.table_predictions", "encodings.cp437", "encodings.utf_8_sig", "rich._emoji_codes"),
    *("pandas.io.formats.csvs", "safetensors.numpy", "scipy.fftpack"),
    "transformers.models.distilbert.modeling_distilbert",
)
"""Modules that commands import when they run. Here they are imported once for all of them."""

FILE_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"}
NETWORK_EVENTS = {"urllib.Request", "http.client.connect"} | {
    f"socket.{name}"
    for name in (
        *("connect", "sendto", "sendmsg", "bind", "getaddrinfo"),
        *("gethostbyname", "gethostbyaddr", "getnameinfo"),
    )
}
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
apply_fast_settings()
apply_quick_settings()
skip_plots()
# Save training states even though these trainings are short.
training.FIRST_SAVE_SECONDS = 0.0


def main() -> None:
    """Run commands until stdin ends."""
    for name in LOADED_BY_COMMANDS:
        import_module(name)
    # These too keep what they load or compile the first time.
    Image.init()
    get_checkpoint_conversion_mapping("distilbert")
    with suppress(UserError):
        pipeline.app(["status", "--run", ".."], standalone_mode=False)
    gc.freeze()
    for line in sys.stdin:
        task = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _run_child(task, write)
        os.close(write)
        timer = None
        if task["seconds"] is not None:
            timer = threading.Timer(task["seconds"], os.kill, (child, task["signal"]))
            timer.start()
        with os.fdopen(read) as pipe:
            report = json.loads(pipe.read() or "{}")
        _, status = os.waitpid(child, 0)
        if timer:
            timer.cancel()
        answer = {"status": os.waitstatus_to_exitcode(status), "operations": 0, "connections": []}
        print(json.dumps(answer | report), flush=True)


def _run_child(task: dict, write: int) -> None:
    """Run one command in this child process, then exit."""
    os.chdir(task["cwd"])
    # A shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(task[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    if task["max_file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["max_file_bytes"],) * 2)
    time.perf_counter = lambda: 0.0
    sys.argv = [task["script"] or "pipeline.py", *task["args"]]
    operations, connections = 0, []

    def watch(event: str, args: tuple) -> None:
        nonlocal operations
        if event in NETWORK_EVENTS and getattr(args[0], "family", None) != socket.AF_UNIX:
            connections.append(f"{event} {args}")
        if event in FILE_EVENTS or (event == "open" and args[2] and args[2] & WRITE_FLAGS):
            operations += 1
            if operations == task["operation"]:
                os.kill(os.getpid(), task["signal"])

    sys.addaudithook(watch)
    if task["args"] == ["connect"]:
        socket.gethostbyname("127.0.0.1")
    status = 1
    try:
        if task["script"]:
            runpy.run_path(task["script"], run_name="__main__")
            status = 0
        else:
            status = pipeline.main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.write(write, json.dumps({"operations": operations, "connections": connections}).encode())
        os._exit(status)


if __name__ == "__main__":
    main()
