"""A real browser without a screen, driven by the Chrome DevTools Protocol."""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

SECONDS = 30.0

_WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push([event.violatedDirective, event.blockedURI, event.sample]));
"""


@dataclass
class Page:
    """A tab, and what it did so far."""

    connection: Connection
    session: str = ""
    requested: list[str] = field(default_factory=list)
    """Addresses that it asked for."""
    complaints: list[str] = field(default_factory=list)
    """Errors of its console and exceptions of its scripts."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; what happens meanwhile is noted."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.connection.send(json.dumps(message))
        while True:
            answer = json.loads(self.connection.recv(timeout=SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._note(answer)

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression comes to."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, (expression, result)
        return result["result"].get("value")

    def until(self, expression: str) -> Any:
        """Return the first true value of an expression."""
        ends = time.monotonic() + SECONDS
        while not (value := self.value(expression)):
            assert time.monotonic() < ends, f"Never true: {expression}; {self.complaints}"
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH_POLICY)
        self.call("Page.navigate", url=url)

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["exceptionDetails"]))
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.complaints.append(json.dumps(told["entry"]))
            case "Runtime.consoleAPICalled" if told["type"] == "error":
                self.complaints.append(json.dumps(told["args"]))


@contextmanager
def page(executable: str) -> Iterator[Page]:
    """Start the browser with an empty tab; end it afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                executable,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with connect(_address(process), max_size=None, proxy=None) as connection:
                tab = Page(connection)
                target = tab.call("Target.createTarget", url="about:blank")["targetId"]
                tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
                yield tab
        finally:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


def _address(process: "subprocess.Popen[str]") -> str:
    for line in process.stderr or ():
        if found := re.search(r"ws://\S+", line):
            return found[0]
    raise AssertionError("The browser did not start.")
