"""`export --format tensorboard`: TensorBoard reads every scalar, and its HParams table groups replicates."""

import json
import math
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from tensorboard.backend.event_processing import event_accumulator
from sweeps import check, converge, finished, same

finished()
converge("export", "--format", "tensorboard", "--to", "runs")
converge("export", "--format", "tensorboard", "--to", "runs", code=2)
converge("export", "--format", "tensorboard", "--to", "runs", "--force")
converge("export", "--format", "jsonl", "--to", "all.jsonl")
trials = json.loads(converge("trials", "--json"))
runs = sorted(path.name for path in pathlib.Path("runs").iterdir() if path.is_dir())
same(runs, [f"trial-{one['trial']:03}" for one in trials], "a folder per trial")
same([path.name for path in pathlib.Path(".").glob(".runs*")], [], "nothing is left aside")

# Every value of every curve, as 32-bit numbers.
ours = {}
for line in open("all.jsonl"):
    one = json.loads(line)
    curve = ours.setdefault(f"trial-{one['trial']:03}", {}).setdefault(one["metric"], {})
    curve[one["step"]] = float(one["value"])
for run in runs:
    events = event_accumulator.EventAccumulator(f"runs/{run}", size_guidance={event_accumulator.SCALARS: 0})
    events.Reload()
    tags = set(events.Tags()["scalars"]) - {"objective"}
    same(tags, set(ours.get(run, {})), f"{run}: metrics")
    times = []
    for tag in tags:
        read = {event.step: event.value for event in events.Scalars(tag)}
        same(set(read), set(ours[run][tag]), f"{run}: steps of {tag}")
        for step, value in ours[run][tag].items():
            near = math.isnan(value) and math.isnan(read[step]) or math.isclose(read[step], value, rel_tol=1e-6, abs_tol=1e-30)
            check(near, f"{run} {tag} {step}: {read[step]} is not {value}")
        times += [(event.step, event.wall_time) for event in events.Scalars(tag)]
    times = [time for _, time in sorted(times)]
    check(times == sorted(times), f"{run}: time goes forward")

# TensorBoard itself.
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with open("tensorboard.log", "w") as log:
    command = ["tensorboard", "--logdir", "runs", "--host", "127.0.0.1", "--port", str(port), "--load_fast=false"]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def get(path, body=None, seconds=120):
            end = time.monotonic() + seconds
            while True:
                try:
                    data = None if body is None else json.dumps(body).encode()
                    head = {"Content-Type": "application/json", "X-TensorBoard-Feature-Flags": "{}"}
                    request = urllib.request.Request(f"http://127.0.0.1:{port}/data/{path}", data, head)
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        return json.load(answer)
                except urllib.error.URLError as error:
                    down = isinstance(error.reason, ConnectionRefusedError)
                    check(down and server.poll() is None and time.monotonic() < end, f"{path}: {error}")
                    time.sleep(0.1)

        end = time.monotonic() + 120
        while not set(runs) <= set(get("runs")):
            check(time.monotonic() < end, "TensorBoard finds all runs")
            time.sleep(0.2)
        first = urllib.parse.urlencode({"run": "trial-001", "tag": "validation/accuracy"})
        points = get(f"plugin/scalars/scalars?{first}")
        same([point[1] for point in points], sorted(ours["trial-001"]["validation/accuracy"]), "steps of a curve")

        experiment = get("plugin/hparams/experiment", {"experimentName": ""})
        names = {info["name"] for info in experiment["hparamInfos"]}
        expected = {name for one in trials for name in one["configuration"]}
        same(names, expected, "hyperparameters")
        metrics = [info["name"]["tag"] for info in experiment["metricInfos"]]
        same(metrics, ["objective", "validation/accuracy"], "metrics")
        request = {
            "experimentName": "",
            "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
            "colParams": [{"metric": {"group": "", "tag": "objective"}, "order": "ORDER_DESC"}],
            "startIndex": 0,
            "sliceSize": 1000,
            "aggregationType": "AGGREGATION_AVG",
            "aggregationMetric": {"tag": "objective"},
        }
        # TensorBoard knows a run's name before it has read the run to its end.
        end = time.monotonic() + 120
        while True:
            groups = get("plugin/hparams/session_groups", request)["sessionGroups"]
            sessions = [session for group in groups for session in group["sessions"]]
            if len(sessions) == len(trials) and all(session["endTimeSecs"] for session in sessions):
                break
            check(time.monotonic() < end, f"{len(sessions)} of {len(trials)} runs have hyperparameters")
            time.sleep(0.2)
        same({group["name"] for group in groups}, {one["fingerprint"] for one in trials}, "a group per configuration")
        check(all(len(group["sessions"]) == 2 for group in groups), "two replicates in each group")
        best = json.loads(converge("best", "--json"))["configurations"][0]
        leader = groups[0]
        mean = [value["value"] for value in leader["metricValues"] if value["name"]["tag"] == "objective"]
        check(math.isclose(mean[0], best["mean"], rel_tol=1e-6), f"the best group's mean: {mean} is not {best['mean']}")
        for group in groups:
            for session in group["sessions"]:
                [one] = [one for one in trials if f"trial-{one['trial']:03}" == session["name"]]
                status = "STATUS_SUCCESS" if one["state"] == "completed" else "STATUS_FAILURE"
                same(session["status"], status, session["name"])
    finally:
        server.terminate()
        server.wait(30)
print(f"TensorBoard: {len(runs)} runs, all their scalars, {len(groups)} groups of replicates by hyperparameters")
