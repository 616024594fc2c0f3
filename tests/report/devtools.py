"""A headless Chromium that is asked questions over a pair of pipes; no driver, no socket, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--mute-audio"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"),
    # No name resolves and every proxy refuses: whatever asks for the network fails, and fails loudly.
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"),
)

ON_3_AND_4 = """
import os, sys
commands, answers = (os.dup2(int(end), 100 + at) for at, end in enumerate(sys.argv[1:3]))
os.dup2(commands, 3), os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The browser reads commands on file descriptor 3 and writes answers on 4."""


class Browser:
    """One browser with one page. Console messages, exceptions and requests are kept in order."""

    def __init__(self, chromium: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dsd-plan-browser-", ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", ON_3_AND_4, str(to_browser), str(from_browser), chromium, *QUIET),
                *(f"--user-data-dir={self._folder.name}", "--remote-debugging-pipe", "about:blank"),
            ],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._ids = 0
        self._session: str | None = None
        self.events: deque[dict[str, Any]] = deque()
        try:
            self._attach()
        except BaseException:
            self._stop()
            raise

    def _attach(self) -> None:
        pages = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._session = None
        with suppress(EOFError):
            self.call("Browser.close")
        self._stop()

    def _stop(self) -> None:
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come before it are kept."""
        self._ids += 1
        message: dict[str, Any] = {"id": self._ids, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") != self._ids:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            else:
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = os.read(self._in, 1 << 20)
            if not read:
                raise EOFError("the browser has gone")
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def open(
        self, path: Path, *, width: int = 1280, height: int = 800, dark: bool = False, script: bool = True
    ) -> None:
        """Open a file in a window of this size, and wait until it has loaded. What was kept before is forgotten."""
        self.call("Page.navigate", url="about:blank")
        self.resize(width, height)
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.scheme(dark=dark)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.wait_for_event("Page.loadEventFired")

    def wait_for_event(self, method: str) -> None:
        """Until an event of this kind has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def resize(self, width: int, height: int) -> None:
        """The window's size in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, *, dark: bool) -> None:
        """What the reader prefers."""
        preferred = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[preferred])

    def value(self, expression: str) -> Any:
        """What a JavaScript expression (or the promise it gives) comes to. Raises RuntimeError where it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def box(self, selector: str) -> dict[str, float]:
        """Where an element lies in the window, even with script switched off in the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        quad = self.call("DOM.getBoxModel", nodeId=node)["model"]["border"]
        left, top, right, bottom = min(quad[::2]), min(quad[1::2]), max(quad[::2]), max(quad[1::2])
        return {
            "left": left,
            "top": top,
            "right": right,
            "bottom": bottom,
            "width": right - left,
            "height": bottom - top,
        }

    def settle(self) -> None:
        """Until every visible figure has been drawn."""
        self.value(
            """new Promise((done) => { const look = () => {
                const left = [...document.querySelectorAll('.plot')].filter(
                    (p) => p.offsetParent && !p.querySelector('.main-svg'));
                left.length ? setTimeout(look, 20) : requestAnimationFrame(() => requestAnimationFrame(done)); };
                look(); })"""
        )

    def complaints(self) -> list[str]:
        """Everything the console said and every exception that nobody caught."""
        self.value("1")
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.consoleAPICalled":
                found.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
            elif event.get("method") == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            elif event.get("method") == "Log.entryAdded":
                found.append(params["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Every address that was asked for."""
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith(("data:", "blob:"))]

    def screenshot(self, path: Path, *, full: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        if full:
            height = int(self.value("document.documentElement.scrollHeight"))
            width = int(self.value("innerWidth"))
            self.resize(width, height)
            self.settle()
        path.write_bytes(b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
