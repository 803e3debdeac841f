"""Chromium, driven through chromedriver by the WebDriver protocol: pages, pointer, print."""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
DRIVER = shutil.which("chromedriver") or ""

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
)
_READY = "document.documentElement.dataset.clip"


class Browser:
    """One window."""

    def __init__(self, address, profile, width, height, flags=()):
        self._session = address
        options = {"binary": BROWSER, "args": [*_OPTIONS, *flags, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._post("/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"{address}/session/{answer['sessionId']}"
        self.resize(width, height)

    def _post(self, path, content=None, method="POST"):
        body = None if method in ("DELETE", "GET") else json.dumps(content or {}).encode()
        request = urllib.request.Request(self._session + path, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as refused:
            reason = json.load(refused)["value"]
            raise RuntimeError(f"{path}: {reason['error']}: {reason['message']}") from None

    def resize(self, width, height):
        """Make the page itself, not the window, this large."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", screen)

    def devtools(self, command, parameters):
        """A command of Chromium's own."""
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def load(self, path):
        """Open a page from disk, whatever becomes of it."""
        self.go(path.as_uri())

    def go(self, address):
        """Open an address."""
        self._post("/url", {"url": address})

    def wait(self, expression, seconds=180):
        """The value of an expression once it is true of something."""
        until = time.monotonic() + seconds
        while not (value := self.run(expression)):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.05)
        return value

    def choose_files(self, selector, *paths):
        """Choose files as a user does in the dialog of an input."""
        root = self.devtools("DOM.getDocument", {})["root"]["nodeId"]
        query = {"nodeId": root, "selector": selector}
        node = self.devtools("DOM.querySelector", query)["nodeId"]
        self.devtools("DOM.setFileInputFiles", {"nodeId": node, "files": list(map(str, paths))})

    def open_tab(self):
        """Open another tab, in front; give the name of the one before."""
        before = self._post("/window", method="GET")
        new = self._post("/window/new", {"type": "tab"})
        self.switch(new["handle"])
        return before

    def close_tab(self, handle):
        """Close the tab in front and bring another there."""
        self._post("/window", method="DELETE")
        self.switch(handle)

    def switch(self, handle):
        """Bring a tab to the front."""
        self._post("/window", {"handle": handle})

    def open(self, path):
        """Open a page from disk and wait until its first clip is drawn."""
        self.load(path)
        self.settled()

    def open_again(self):
        """Load the page anew, as someone would at another size of screen."""
        self._post("/refresh")
        self.settled()

    def settled(self):
        """Wait until the chosen clip is drawn."""
        for _ in range(600):
            if self.run(_READY):
                return
            time.sleep(0.05)
        raise AssertionError("the page was never drawn")

    def run(self, expression):
        """The value of an expression within the page."""
        return self._post("/execute/sync", {"script": f"return {expression}", "args": []})

    def point(self, x, y):
        """Move the pointer to a place in the window."""
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        mouse = {"type": "pointer", "id": "mouse", "actions": [move]}
        self._post("/actions", {"actions": [mouse]})

    def complaints(self):
        """What the page and the browser had to say since the last time."""
        return [entry["message"] for entry in self._post("/se/log", {"type": "browser"})]

    def printed(self):
        """The page as PDF, once it is drawn: before that Chromium's printing fails at times."""
        drawn = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        self._post("/execute/async", {"script": drawn, "args": []})
        return base64.b64decode(self._post("/print", {"background": True}))

    def picture(self, *, whole=True):
        """All of the page as PNG, or what is in the window."""
        shot = self.devtools("Page.captureScreenshot", {"captureBeyondViewport": whole})
        return base64.b64decode(shot["data"])

    def close(self):
        """End the session."""
        self._post("", method="DELETE")


@contextmanager
def browser(profile, width=1280, height=900, flags=()):
    """A headless Chromium with a profile folder of its own, and flags beside the usual ones."""
    command = [DRIVER, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        try:
            told = next(line for line in driver.stdout if "started successfully on port" in line)
            port = told.split()[-1].rstrip(".")
            window = Browser(f"http://127.0.0.1:{port}", profile, width, height, flags)
            try:
                yield window
            finally:
                window.close()
        finally:
            driver.terminate()


def dumped(path, profile):
    """The page's elements once it has run, and what the browser had to say."""
    done = subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--enable-logging=stderr", f"--user-data-dir={profile}"),
            *("--virtual-time-budget=20000", "--dump-dom", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
