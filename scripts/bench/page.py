"""Drives scripts/bench/page; `scripts/bench/page --help` says what is measured."""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import tempfile
import time
import urllib.request

from chromium import Browser
from scale import Home, SWEEP
from step import machine

LIMIT_MS, LIMIT_BYTES = 300, 1_000_000


def long_curves(home, points):
    """Adds a sweep of a few trials with long curves."""
    text = SWEEP.format(name="points", trials=8, pause=0).replace("steps = 24", f"steps = {points}")
    path = home.folder / "points.toml"
    path.write_text(text)
    subprocess.run(home.command("run", str(path)), check=True, capture_output=True)


def opened(browser, url):
    """Opens a page with an empty cache; returns milliseconds until it is shown, bytes, and requests."""
    browser.call("Network.setCacheDisabled", cacheDisabled=True)
    browser.events.clear()
    browser.open(url, "performance.getEntriesByName('shown').length && performance.getEntriesByName('drawn').length && document.querySelectorAll('path.curve').length > 3"
                      " && document.querySelectorAll('td.spark polyline').length > 3")
    shown = browser.run("performance.getEntriesByName('shown')[0].startTime")
    drawn = browser.run("performance.getEntriesByName('drawn')[0].startTime")
    first = browser.run("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
    time.sleep(0.5)
    browser.run("1")
    finished = [event["params"]["encodedDataLength"] for event in browser.events if event.get("method") == "Network.loadingFinished"]
    return {"shown_ms": shown, "drawn_ms": drawn, "first_paint_ms": first, "bytes": sum(finished), "requests": len(finished)}


def answer_ms(url, rounds):
    def once():
        begun = time.perf_counter()
        request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            length = len(answer.read())
        return (time.perf_counter() - begun) * 1000, length
    once()
    taken = [once() for _ in range(rounds)]
    return {"ms": statistics.median(ms for ms, _ in taken), "bytes": taken[0][1]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--home")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.home or stack.enter_context(tempfile.TemporaryDirectory(prefix="converge-page-bench-"))
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        home = Home(folder, arguments.programs)
        if not home.database.exists():
            home.make(arguments.trials)
            long_curves(home, arguments.points)
        ids = dict(home.query("select name, id from sweeps"))
        serve = subprocess.Popen(home.command("serve", "--port", "0", "--read-only"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        stack.callback(serve.wait)
        stack.callback(serve.terminate)
        root = serve.stdout.readline().strip().rstrip("/")
        browser = stack.enter_context(Browser())
        long, points = f"{root}/sweeps/{ids['long']}", f"{root}/sweeps/{ids['points']}"
        # The browser has done this before, the server has not.
        opened_trial(browser, f"{points}/trials/1")
        first = opened(browser, long)
        rounds = [opened(browser, long) for _ in range(arguments.rounds)]
        trial = [opened_trial(browser, f"{points}/trials/1") for _ in range(3)]
        api = root + "/api/v1/sweeps"
        results = {
            "machine": machine(),
            "trials": home.query("select count(*) from sweep_trials where sweep = ?", ids["long"])[0][0],
            "points": arguments.points,
            "sweep_page_first": first,
            "sweep_page": {key: statistics.median(one[key] for one in rounds) for key in rounds[0]},
            "sweep_page_shown_ms_all": sorted(round(one["shown_ms"]) for one in rounds),
            "trial_page_shown_ms": statistics.median(trial),
            "all_trials": answer_ms(f"{api}/{ids['long']}/trials", arguments.rounds),
            "eight_long_curves": answer_ms(f"{api}/{ids['points']}/curves?metric=train/loss&trials=1,2,3,4,5,6,7,8&points=800", arguments.rounds),
            "all_curves_of_a_long_trial": answer_ms(f"{api}/{ids['points']}/trials/1/curves?points=600", arguments.rounds),
        }
    page = results["sweep_page"]
    print(f"| {results['trials']:,} trials | median of {arguments.rounds} | limit |\n|---|---|---|")
    print(f"| sweep's page, request to shown | {page['shown_ms']:.0f} ms | {LIMIT_MS} ms |")
    print(f"| the same, with the plot of all trials | {page['drawn_ms']:.0f} ms | |")
    print(f"| the same, for the first time since the server was started | {results['sweep_page_first']['shown_ms']:.0f} ms | |")
    print(f"| sweep's page, all that is sent, in {page['requests']:.0f} requests | {page['bytes'] / 1000:.0f} kB | {LIMIT_BYTES / 1000:.0f} kB |")
    print(f"| page of a trial of {arguments.points:,} points, to shown | {results['trial_page_shown_ms']:.0f} ms | |")
    for key, words in (("all_trials", "answer: all trials"), ("eight_long_curves", f"answer: one metric of 8 trials of {arguments.points:,} points"),
                       ("all_curves_of_a_long_trial", "answer: all metrics of one of them")):
        print(f"| {words} | {results[key]['ms']:.0f} ms, {results[key]['bytes'] / 1000:.0f} kB | |")
    print(json.dumps(results))


def opened_trial(browser, url):
    browser.open(url, "performance.getEntriesByName('shown').length && document.querySelectorAll('path.curve').length > 3")
    return browser.run("performance.getEntriesByName('shown')[0].startTime")


if __name__ == "__main__":
    main()
