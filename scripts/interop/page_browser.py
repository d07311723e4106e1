"""The page of `converge serve` in a real browser: a scripted sweep runs, and every page is opened, used and looked at.

    scripts/interop/page_browser.py [CONVERGE] [--screenshots FOLDER]

Needs Debian's `chromium` and scripts/interop/page.txt. Takes about a minute. Fails where a page complains on
its console, lacks what it should show, does not follow the running sweep, or does something without the token.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from chromium import PROGRAMS, Browser

SWEEP = """
[sweep]
name = "grid"
method = "grid"
replicates = 2
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = { values = [1e-5, 1e-4, 1e-3] }
batch_size = { values = [16, 32] }
dropout = { values = [0.0, 0.1] }
[run]
device = "scripted"
workers = 2
[failure]
retries = { panic = 0 }
[[run.script]]
when = { learning_rate = 1e-3, dropout = 0.1, batch_size = 16 }
steps = 60
step_milliseconds = 20
at_step = 40
end = "diverge"
[[run.script]]
when = { learning_rate = 1e-5, dropout = 0.1, batch_size = 32 }
steps = 60
step_milliseconds = 20
at_step = 20
end = "panic"
[[run.script]]
steps = 60
step_milliseconds = 20
"""
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def check(holds, what):
    if not holds:
        raise SystemExit(f"error: {what}")


class Served:
    """A process of `converge serve`."""

    def __init__(self, converge, home, *options):
        self.process = subprocess.Popen([converge, "--home", home, "serve", *options], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        found = re.fullmatch(r"(http://127\.0\.0\.1:(\d+))/(?:#token=([0-9a-f]{32}))?", self.url)
        check(found, f"`serve` printed {self.url!r}")
        self.root, self.port, self.token = found.groups()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        check(self.process.wait(20) == 0, "`serve` does not end well on Ctrl-C")

    def get(self, path):
        with urllib.request.urlopen(f"{self.root}/api/v1/{path}") as answer:
            return json.load(answer)


class Look:
    """Takes pictures, where somebody wants them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) if folder else None

    def take(self, browser, name):
        if not self.folder:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 400)):
            browser.scheme(scheme)
            browser.size(width, 900)
            time.sleep(0.4)
            browser.screenshot(self.folder / f"{name}-{scheme if width > 400 else 'narrow'}.png")
        browser.scheme("light")
        browser.size(1280, 900)


def sweeps_page(browser, served, look):
    browser.open(served.url, "document.querySelector('table.sweeps tbody tr a')")
    check(browser.text("table.sweeps tbody tr a") == "grid", "the list of sweeps names no sweep")
    check("token" not in browser.run("location.href"), "the token stays in the address")
    browser.wait("document.querySelector('.live.on')")
    check("scheduler" in browser.text(".live"), "the bar does not name the scheduler")
    look.take(browser, "sweeps")


def sweep_page(browser, served):
    browser.open(f"{served.root}/sweeps/1", "document.querySelectorAll('table.trials tbody tr[data-number]').length > 10")
    check(browser.run("document.querySelector('table.trials').getAttribute('aria-rowcount')") == "25", "not 24 trials")
    # It follows the sweep: nobody loads the page again.
    done = browser.run("document.querySelectorAll('table.trials .state.completed').length")
    browser.wait(f"document.querySelectorAll('table.trials .state.completed').length > {done}")
    browser.wait("document.querySelectorAll('path.curve').length > 1")
    browser.wait("document.querySelectorAll('td.spark polyline').length > 1")


def actions(browser, served, process):
    button = "[...document.querySelectorAll('#bar button')].find(one => one.textContent === '%s')"
    browser.wait(button % "Pause")
    browser.run(f"({button % 'Pause'}).click()")
    browser.wait("document.querySelector('h1 + .state').innerText.includes('paused')")
    browser.wait(button % "Go on")
    # One that waits is cancelled on its page.
    last = served.get("sweeps/1/trials")
    number = max(number for number, state in zip(last["number"], last["state"]) if state == "queued")
    browser.open(f"{served.root}/sweeps/1/trials/{number}", "document.querySelector('button.danger')")
    browser.run("window.confirm = () => true; document.querySelector('button.danger').click()")
    browser.wait("document.querySelector('h1 + .state').innerText.includes('cancelled')")
    for token in (None, "0" * 32):
        request = urllib.request.Request(f"{served.root}/api/v1/stop", method="POST", data=b"{}")
        if token:
            request.add_header("X-Converge-Token", token)
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request)
            raise SystemExit("error: stopped without the token")
    check(process.poll() is None, "the sweep ended without being asked to")
    browser.open(f"{served.root}/sweeps/1", button % "Go on")
    browser.run(f"({button % 'Go on'}).click()")
    browser.wait("document.querySelector('h1 + .state').innerText.includes('running')")


def finished(browser, served, process):
    check(process.wait(120) == 3, "the sweep ends with another code than that of failed trials")
    browser.wait("document.querySelector('h1 + .state').innerText.includes('finished')")
    browser.wait("document.querySelector('.live').innerText.includes('no scheduler')")
    check(not browser.run("document.querySelectorAll('#bar button').length"), "buttons for a sweep that nobody runs")


def table(browser, served):
    trials = served.get("sweeps/1/trials")
    cells = "[...document.querySelectorAll('table.trials tbody tr[data-number]')].map(row => row.cells[%d].innerText)"
    heads = browser.run("[...document.querySelectorAll('table.trials thead th')].map(head => head.innerText.trim())")
    place = next(at for at, head in enumerate(heads) if head.startswith("learning_rate"))
    click = f"document.querySelectorAll('table.trials thead th')[{place}].querySelector('button').click()"
    for direction in ("ascending", "descending"):
        browser.run(click)
        browser.wait(f"document.querySelectorAll('table.trials thead th')[{place}].getAttribute('aria-sort') === '{direction}'")
        shown = [float(text) for text in browser.run(cells % place)]
        check(shown == sorted(shown, reverse=direction == "descending"), f"not sorted {direction}: {shown}")
    browser.run("(box => { box.value = 'state=diverged'; box.dispatchEvent(new Event('input')); })(document.querySelector('input[type=search]'))")
    diverged = sum(state == "diverged" for state in trials["state"])
    browser.wait(f"document.querySelector('table.trials').getAttribute('aria-rowcount') === '{diverged + 1}'")
    check("filter=state%3Ddiverged" in browser.run("location.search"), "the address does not carry the filter")
    browser.run("(box => { box.value = 'nonsense=1'; box.dispatchEvent(new Event('input')); })(document.querySelector('input[type=search]'))")
    browser.wait("document.querySelector('input[type=search]').getAttribute('aria-invalid') === 'true'")


def plots(browser, served, look):
    browser.open(f"{served.root}/sweeps/1?metric=train/loss", "document.querySelectorAll('path.curve').length === 10")
    look.take(browser, "sweep")
    x, y = browser.run("(box => [box.x + box.width / 2, box.y + box.height / 2])(document.querySelector('svg.plot').getBoundingClientRect())")
    browser.mouse("mouseMoved", x, y)
    browser.wait("!document.querySelector('.tip').hidden && document.querySelectorAll('.tip-row').length > 3")
    check("step" in browser.text(".tip"), "no values beside the pointer")
    browser.run("(box => { box.value = 0.9; box.dispatchEvent(new Event('input')); })(document.querySelector('input[type=range]'))")
    browser.wait("document.querySelectorAll('path.curve.raw').length === 10 && document.querySelector('.legend').innerText.includes('EMA 0.90')")
    # A brush on the axis of the learning rate becomes words of the filter.
    browser.wait("document.querySelectorAll('.brush-room').length === 4")
    box = browser.run("(box => [box.x + box.width / 2, box.y, box.bottom])(document.querySelectorAll('.brush-room')[2].getBoundingClientRect())")
    browser.drag((box[0], box[1] + 2), (box[0], (box[1] + box[2]) / 2 - 30))
    browser.wait("document.querySelector('input[type=search]').value === 'learning_rate=0.001'")
    browser.open(f"{served.root}/sweeps/1?plot=heat&x=learning_rate&y=dropout", "document.querySelectorAll('table.heat td button').length === 6")
    trials = served.get("sweeps/1/trials")
    rows = zip(trials["parameters"]["learning_rate"], trials["parameters"]["dropout"], trials["objective"])
    own = [value for rate, dropout, value in rows if (rate, dropout) == (1e-4, 0.0) and isinstance(value, float)]
    told = browser.run("[...document.querySelectorAll('table.heat td button')].find(one => one.getAttribute('aria-label').startsWith('learning_rate 1e-4, dropout 0:')).innerText")
    check(told.split() == [f"{sum(own) / len(own) * 100:.1f}", "%", "n", str(len(own))], f"the heat map says {told!r}")
    look.take(browser, "heat-map")
    browser.open(f"{served.root}/sweeps/1?plot=scatter&grouped=1", "document.querySelector('svg[aria-label*=\"learning_rate\"]')")
    browser.wait("document.querySelector('table.trials').getAttribute('aria-rowcount') === '13'")
    look.take(browser, "scatter")


def trial_pages(browser, served, home, look):
    trials = served.get("sweeps/1/trials")
    number = trials["state"].index("completed") + 1
    attempt = served.get(f"sweeps/1/trials/{number}")["attempts"][-1]
    with open(home / attempt["directory"] / "log.txt", "a") as log:
        log.write(HOSTILE + "\n")
    browser.open(f"{served.root}/sweeps/1/trials/{number}", "document.querySelectorAll('path.curve').length >= 5")
    browser.wait(f"document.querySelector('.log').innerText.includes('onerror')")
    check(HOSTILE in browser.text(".log"), "the log does not stand there as it is")
    check(browser.run("!document.querySelector('.log img, .log script') && document.title !== 'owned'"), "a log became markup")
    check(browser.text(".commands code") == f"converge show {number} --sweep grid", "no command to copy")
    check("learning_rate" in browser.text("section[aria-label=Settings]") and "completed" in browser.text("section[aria-label=Attempts]"), "settings or attempts are missing")
    look.take(browser, "trial")
    failed = trials["state"].index("failed") + 1
    browser.open(f"{served.root}/sweeps/1/trials/{failed}", "document.querySelector('.failure')")
    check("panic" in browser.text(".failure"), "the failure is not said")
    look.take(browser, "failed-trial")


def names(browser):
    """What has no name cannot be read aloud."""
    nameless = browser.run("""[...document.querySelectorAll('button, a, select, input')]
        .filter(one => !(one.innerText.trim() || one.getAttribute('aria-label') || one.title || one.querySelector('img[alt]'))).length""")
    check(nameless == 0, f"{nameless} controls have no name")


def connection(browser, converge, home, served):
    """The server ends, and comes back: the page says so, and goes on."""
    browser.open(f"{served.root}/sweeps/1", "document.querySelector('table.trials tbody tr[data-number]')")
    served.process.send_signal(signal.SIGINT)
    check(served.process.wait(20) == 0, "`serve` does not end well on Ctrl-C")
    browser.wait("document.querySelector('.live.lost')")
    complaints = len(browser.events)
    with Served(converge, str(home), "--port", served.port, "--read-only") as again:
        check(again.token is None, "a read-only page has a token")
        browser.wait("!document.querySelector('.live.lost')")
    # Refused connections are what the browser should complain of here.
    del browser.events[complaints - 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    resolved = lambda path: str(pathlib.Path(path).resolve())
    parser.add_argument("converge", nargs="?", type=resolved, default=os.environ.get("CONVERGE"))
    parser.add_argument("--screenshots", metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.converge is None:
        parser.error("no converge: name it, or set CONVERGE")
    if not any(map(shutil.which, PROGRAMS)):
        print("no chromium (Debian: apt-get install chromium)")
        return 77
    begun = time.monotonic()
    look = Look(arguments.screenshots)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="converge-page-")))
        (folder / "grid.toml").write_text(SWEEP)
        home = folder / "home"
        run = subprocess.Popen([arguments.converge, "--home", str(home), "run", "grid.toml"], cwd=folder,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(lambda: run.poll() is None and run.kill())
        ready = lambda: subprocess.run([arguments.converge, "--home", str(home), "trials", "--json"], capture_output=True).stdout.count(b'"completed"') > 0
        Browser.until(ready, "the sweep has begun")
        served = Served(arguments.converge, str(home), "--port", "0")
        stack.callback(lambda: served.process.poll() is None and served.process.kill())
        browser = stack.enter_context(Browser())
        sweeps_page(browser, served, look)
        sweep_page(browser, served)
        actions(browser, served, run)
        finished(browser, served, run)
        table(browser, served)
        names(browser)
        plots(browser, served, look)
        trial_pages(browser, served, home, look)
        names(browser)
        complaints = browser.complaints()
        check(not complaints, "the browser complained:\n" + "\n".join(complaints))
        connection(browser, arguments.converge, home, served)
    print(f"page: sweeps, sweep, trials, plots, actions and live updates work in Chromium ({time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    sys.exit(main())
