"""`export --format trackio`: trackio's command line lists runs and reads metrics."""

import json
import os
import pathlib
import subprocess

from sweeps import converge, finished, same

finished()
folder = pathlib.Path("trackio").resolve()
converge("export", "--format", "trackio", "--to", str(folder / "interop.db"))
converge("export", "--format", "trackio", "--to", str(folder / "interop.db"), code=2)
converge("export", "--format", "trackio", "--to", str(folder / "interop.db"), "--force")
os.environ["TRACKIO_DIR"] = str(folder)


def trackio(*arguments):
    done = subprocess.run(["trackio", *arguments, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


trials = json.loads(converge("trials", "--json"))
same(trackio("list", "projects")["projects"], ["interop"], "projects")
runs = trackio("list", "runs", "--project", "interop")["runs"]
names = {run if isinstance(run, str) else run["name"] for run in runs}
same(names, {f"trial-{one['trial']}" for one in trials}, "runs")
curve = json.loads(converge("curve", "1", "validation/accuracy", "--json"))
points = trackio("get", "metric", "--project", "interop", "--run", "trial-1", "--metric", "validation/accuracy")
ours = [(step, value) for step, value in curve[0]["points"]]
same([(point["step"], point["value"]) for point in points["values"]], ours, "a curve")
config = trackio("get", "run", "--project", "interop", "--run", "trial-1")["config"]
for name, value in trials[0]["configuration"].items():
    same(config[name], value, name)
same(config["fingerprint"], trials[0]["fingerprint"], "fingerprint")
print(f"trackio: a project of {len(names)} runs, their metrics and configurations")
