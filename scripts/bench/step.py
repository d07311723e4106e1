"""Drives scripts/bench/step; `scripts/bench/step --help` says what is measured."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
CORES = len(os.sched_getaffinity(0))
SHAPES = (
    "6x384:16x32,6x384:32x64,6x384:1x32,6x384:64x32,2x128:1x32,2x128:16x32,2x128:64x32,"
    "4x256:1x32,4x256:16x32,4x256:32x64,4x256:64x32,3x384:16x32"
)
# glibc told to keep freed memory, as the launcher tells ours.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
ARRANGEMENTS = {"alone": (1, 1), "threads": (1, CORES), "processes": (CORES, 1)}
FEWEST = 3


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def environment(threads, extra=()):
    variables = dict(os.environ, TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        variables[name] = str(threads)
    variables["MIMALLOC_PURGE_DELAY"] = "-1"
    variables.update(extra)
    return variables


class Ours:
    """Our step: a process per measurement, its number of steps chosen so that it takes about `seconds`."""

    def __init__(self, program, directory, batch, length, seconds):
        self.arguments = [program, directory, str(batch), str(length)]
        self.seconds, self.peak_bytes = seconds, None
        self.times = {}

    def run(self, processes, threads, steps):
        command = [*self.arguments, str(steps)]
        pipes = {"stdout": subprocess.PIPE, "text": True, "env": environment(threads)}
        running = [subprocess.Popen(command, **pipes) for _ in range(processes)]
        results = []
        for process in running:
            text, _ = process.communicate()
            if process.returncode:
                raise SystemExit(f"error: {' '.join(command)} ended with {process.returncode}")
            results.append(json.loads(text.splitlines()[-1]))
        return results

    def measure(self, arrangement):
        processes, threads = ARRANGEMENTS[arrangement]
        known = self.times.get(arrangement)
        if known is None:
            known = self.run(processes, threads, FEWEST)[0]["seconds"]
        results = self.run(processes, threads, max(FEWEST, round(self.seconds / known)))
        self.times[arrangement] = results[0]["seconds"]
        if arrangement == "alone" and self.peak_bytes is None:
            self.peak_bytes = results[0]["peak_bytes"]
        return sum(1 / result["seconds"] for result in results)


class Theirs:
    """PyTorch's step: processes that stay, so that importing and compiling are not repeated."""

    def __init__(self, variant, directory, batch, length, seconds):
        self.variant, self.directory = variant, directory
        self.shape = {"batch": batch, "length": length}
        self.seconds, self.peak_bytes = seconds, None
        self.processes, self.threads = [], {}

    def start(self, count):
        while len(self.processes) < count:
            command = [sys.executable, str(HERE / "step_pytorch.py"), self.directory, self.variant]
            extra = {} if self.variant == "eager" else KEEP_MEMORY
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            # Libraries keep the number of threads that they were started with as their upper bound.
            variables = environment(CORES, extra)
            self.processes.append(subprocess.Popen(command, env=variables, **pipes))

    def order(self, processes, order):
        for process in processes:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process in processes]
        if not all(answers):
            raise RuntimeError(f"PyTorch ({self.variant}) ended early; its message is above")
        return [json.loads(answer) for answer in answers]

    def measure(self, arrangement):
        count, threads = ARRANGEMENTS[arrangement]
        self.start(count)
        # The processes start together: none of them is alone for long.
        for process in self.processes[:count]:
            if self.threads.get(process.pid) != threads:
                self.order([process], {**self.shape, "threads": threads})
                self.threads[process.pid] = threads
        results = self.order(self.processes[:count], {"seconds": self.seconds})
        if arrangement == "alone" and self.peak_bytes is None:
            self.peak_bytes = results[0]["peak_bytes"]
        return sum(1 / result["seconds"] for result in results)

    def end(self):
        for process in self.processes:
            process.stdin.close()
            process.wait()


def measure_shape(options, directory, shape):
    """Returns steps a second by contender, arrangement and round, and the peaks of memory."""
    _, _, batch, length = shape
    variants = ["eager", "tuned"]
    if options.compile == "all" or (options.compile == "minilm" and shape[:2] == (6, 384)):
        variants.append("compiled")
    arguments = (directory, batch, length, options.seconds)
    contenders = {"ours": Ours(options.program, *arguments)}
    contenders.update({variant: Theirs(variant, *arguments) for variant in variants})
    rates = {name: {arrangement: [] for arrangement in ARRANGEMENTS} for name in contenders}
    for number in range(options.rounds):
        for arrangement in ARRANGEMENTS:
            # Who comes first changes from round to round.
            for name in list(contenders)[:: -1 if number % 2 else 1]:
                if name not in rates:
                    continue
                try:
                    rates[name][arrangement].append(contenders[name].measure(arrangement))
                except (RuntimeError, OSError) as error:
                    say(f"{error}: left out")
                    del rates[name]
        say(
            f"{label(shape)} round {number + 1}: "
            + ", ".join(f"{name} " + "/".join(f"{by[a][-1]:.2f}" for a in ARRANGEMENTS) for name, by in rates.items())
            + " steps/s "
            + "/".join(ARRANGEMENTS)
        )
    for name in variants:
        contenders[name].end()
    return rates, {name: contenders[name].peak_bytes for name in rates}


def label(shape):
    layers, hidden, batch, length = shape
    return f"{layers}L/{hidden} {batch} x {length}"


def best(by_arrangement):
    """Returns the rounds of the arrangement with the most steps a second on the whole machine."""
    whole = {name: rounds for name, rounds in by_arrangement.items() if name != "alone" or CORES == 1}
    return max(whole.items(), key=lambda item: statistics.median(item[1]))


def ratio(ours, theirs):
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def summary(shape, rates, peaks):
    medians = {n: {a: statistics.median(r) for a, r in by.items()} for n, by in rates.items()}
    chosen = {name: best(by) for name, by in rates.items()}
    over = {n: ratio(chosen["ours"][1], chosen[n][1]) for n in rates if n != "ours"}
    alone = {n: ratio(rates["ours"]["alone"], by["alone"]) for n, by in rates.items() if n != "ours"}
    return {
        "shape": label(shape),
        "steps_per_second": medians,
        "rounds": rates,
        "best_arrangement": {name: arrangement for name, (arrangement, _) in chosen.items()},
        "alone_over": alone,
        "best_over": over,
        "best_over_best": min(over.values()),
        "peak_bytes": peaks,
        "memory_ratio": peaks["ours"] / peaks["eager"],
    }


def table(results):
    yield f"Steps a second; cells are ours / eager / tuned / compiled (where run). {CORES} cores."
    yield ""
    yield "| shape | one thread | one process, all threads | a process a core | best over eager | best over PyTorch's best | peak MB, ours / eager | ratio |"
    yield "|---|---|---|---|---|---|---|---|"
    for result in results:
        cells = [
            " / ".join(f"{by[arrangement]:.2f}" for by in result["steps_per_second"].values())
            for arrangement in ARRANGEMENTS
        ]
        peaks = result["peak_bytes"]
        yield (
            f"| {result['shape']} | {' | '.join(cells)} | {result['best_over']['eager']:.2f} | "
            f"{result['best_over_best']:.2f} | {peaks['ours'] / 1e6:.0f} / {peaks['eager'] / 1e6:.0f} | "
            f"{result['memory_ratio']:.2f} |"
        )


def machine():
    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {CORES} cores, load {os.getloadavg()[0]:.2f}"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/step")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--compile", choices=["minilm", "all", "none"], default="minilm")
    parser.add_argument("--shapes", default=SHAPES)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.compile = 1, 1, "none"
        options.shapes = "6x384:16x32,2x128:1x32" if options.shapes == SHAPES else options.shapes
    try:
        shapes = [tuple(map(int, part.replace(":", "x").split("x"))) for part in options.shapes.split(",")]
        if any(len(shape) != 4 for shape in shapes):
            raise ValueError
    except ValueError:
        parser.error("--shapes wants LAYERSxHIDDEN:BATCHxTOKENS, separated by commas")
    head = {"date": datetime.datetime.now().isoformat(timespec="minutes"), "machine": machine()}
    results = []
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        for shape in shapes:
            directory = "models/minilm"
            if shape[:2] != (6, 384):
                directory = f"{folder}/{shape[0]}x{shape[1]}"
                if not os.path.isdir(directory):
                    command = [sys.executable, str(HERE / "step_pytorch.py"), "--make", directory]
                    subprocess.run([*command, *map(str, shape[:2])], check=True, env=environment(1))
            results.append(summary(shape, *measure_shape(options, directory, shape)))
    print("\n".join(table(results)))
    print(json.dumps({**head, "results": results}))


if __name__ == "__main__":
    main()
