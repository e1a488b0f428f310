"""Drive headless Chromium by the DevTools protocol over a pipe, which needs no package."""

import json
import os
import subprocess
import time


class Chromium:
    """A browser with one page. Messages of its console, and errors, are in `console`."""

    def __init__(self, program, profile):
        to_read, self._writes = os.pipe()
        self._reads, to_write = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; bash moves ours there.
        script = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            [
                *("/bin/bash", "-c", script, program, "--headless", "--no-sandbox"),
                *("--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"),
                *("--force-prefers-reduced-motion", f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=(to_read, to_write),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._received = b""
        self._number = 0
        self._session = None
        self.console = []
        self.origins = set()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._reads)
        os.close(self._writes)

    def send(self, method, **params):
        """Call a method of the protocol; return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def _receive(self):
        while b"\0" not in self._received:
            chunk = os.read(self._reads, 1 << 16)
            assert chunk, "Chromium has ended"
            self._received += chunk
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def _note(self, event):
        params = event["params"]
        if event["method"] == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.console.append(params["exceptionDetails"]["exception"]["description"])
        elif event["method"] == "Runtime.consoleAPICalled":
            self.console.append(str(params["args"]))
        elif event["method"] == "Network.requestWillBeSent":
            self.origins.add("/".join(params["request"]["url"].split("/")[:3]))

    def show(self, url, width, height=800, dark=False):
        """Open a page on a screen of this size."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height}
        self.send("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, mobile=False, **size)
        self.send("Page.navigate", url=url)
        self.wait(f"location.href === {url!r} && document.readyState === 'complete'")

    def run(self, expression):
        """Return the value of a JavaScript expression in the page."""
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = self.send("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, element_id):
        return self.run(f"document.getElementById({element_id!r}).innerText")

    def wait(self, expression, seconds=15):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(expression):
            assert time.monotonic() < end, f"{expression}: {self.run('document.body.innerText')}"
            time.sleep(0.02)

    def key(self, key, *, types=("keyDown", "keyUp")):
        """Press a key, hold it (only keyDown) or let it go (only keyUp)."""
        for kind in types:
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **text)

    def choose_file(self, selector, path):
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
