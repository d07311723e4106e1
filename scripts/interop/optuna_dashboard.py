"""optuna-dashboard opens sweeps.db while a sweep runs."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request

from sweeps import Running, check, finished, same

database = finished()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with Running(), open("dashboard.log", "w") as log:
    command = ["optuna-dashboard", f"sqlite:///{database}", "--host", "127.0.0.1", "--port", str(port)]
    dashboard = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def get(path, seconds=120):
            end = time.monotonic() + seconds
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
                        same(answer.status, 200, path)
                        return json.load(answer)
                except urllib.error.URLError as error:
                    down = isinstance(error.reason, ConnectionRefusedError)
                    check(down and dashboard.poll() is None and time.monotonic() < end, f"{path}: {error}")
                    time.sleep(0.1)

        def studies():
            return {study["study_name"]: study["study_id"] for study in get("api/studies")["study_summaries"]}

        end = time.monotonic() + 60
        while set(studies()) != {"interop", "live"}:
            check(time.monotonic() < end, f"both sweeps are studies: {studies()}")
        study = get(f"api/studies/{studies()['interop']}")
        same(study["name"], "interop", "name")
        same(len(study["trials"]), 120, "trials")
        complete = [trial for trial in study["trials"] if trial["state"] == "Complete"]
        check(complete and all(trial["params"] and trial["intermediate_values"] for trial in complete), "trials are whole")
        same(len(study["best_trials"]), 1, "best trials")
        importances = get(f"api/studies/{studies()['interop']}/param_importances")["param_importances"]
        check(importances, "importances")
        running = get(f"api/studies/{studies()['live']}")
        same(len(running["trials"]), 12, "trials of the running sweep")
    finally:
        dashboard.terminate()
        dashboard.wait(30)
print("optuna-dashboard: a finished study of 120 trials with importances, beside a running one")
