"""Drives a headless Chromium over its DevTools protocol: what scripts/interop/page_browser.py and scripts/bench/page.py need of it."""

import base64
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import websocket

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program():
    found = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if not found:
        raise SystemExit("error: no chromium\nhint: apt-get install chromium")
    return found


class Browser:
    """A browser with one tab."""

    def __init__(self, width=1280, height=900):
        self.folder = tempfile.TemporaryDirectory(prefix="converge-chromium-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             "--disable-extensions", "--disable-background-networking", "--remote-debugging-port=0",
             "--remote-allow-origins=*", f"--user-data-dir={self.folder.name}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        port_file = pathlib.Path(self.folder.name) / "DevToolsActivePort"
        self.until(lambda: port_file.exists() and len(port_file.read_text().splitlines()) > 1, "the browser starts")
        port, path = port_file.read_text().splitlines()[:2]
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=120)
        self.number, self.session, self.events = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    @staticmethod
    def until(holds, what, patience=60):
        begun = time.monotonic()
        while not (value := holds()):
            if time.monotonic() - begun > patience:
                raise SystemExit(f"error: waited {patience} s in vain until {what}")
            time.sleep(0.05)
        return value

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"error: {method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url, ready):
        """Opens a page and waits until the expression `ready` holds on it."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait(ready)

    def wait(self, expression, patience=60):
        self.until(lambda: self.run(f"Boolean({expression})", quiet=True), f"`{expression}` holds on the page", patience)

    def run(self, expression, quiet=False):
        """Returns the value of an expression on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            if quiet:
                return None
            raise SystemExit(f"error: `{expression}`: {result['exceptionDetails']}")
        return result["result"].get("value")

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def complaints(self):
        """Returns what the page has complained about: exceptions, console errors, refused loads, violated policies."""
        self.run("1")
        found = []
        for event in self.events:
            method, of = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(of["exceptionDetails"].get("exception", {}).get("description", str(of)))
            elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "assert", "warning"):
                found.append(" ".join(str(one.get("value", one.get("description"))) for one in of["args"]))
            elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
                found.append(f"{of['entry']['text']} {of['entry'].get('url', '')}")
        return found

    def screenshot(self, path, whole=True):
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                                clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        else:
            picture = self.call("Page.captureScreenshot", format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(picture["data"]))

    def mouse(self, kind, x, y, buttons=0):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if kind != "mouseMoved" else "none",
                  buttons=buttons, clickCount=0 if kind == "mouseMoved" else 1)

    def click(self, x, y):
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)

    def drag(self, start, end):
        self.mouse("mousePressed", *start, 1)
        for share in (0.3, 0.6, 1):
            self.mouse("mouseMoved", *(round(a + (b - a) * share) for a, b in zip(start, end)), 1)
        self.mouse("mouseReleased", *end)
