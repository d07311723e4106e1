"""What the parts share: the binary, homes with sweeps, and a check that says what it found."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
CONVERGE = os.environ["CONVERGE"]


def converge(*arguments, code=0):
    """Runs the binary in the working directory and returns what it wrote to stdout."""
    done = subprocess.run([CONVERGE, *arguments], capture_output=True, text=True, timeout=300)
    codes = code if isinstance(code, tuple) else (code,)
    if done.returncode not in codes:
        sys.exit(f"converge {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def finished():
    """Runs interop.toml to its end; returns the path of the database. Some of its trials fail: that is meant."""
    shutil.copy(HERE / "interop.toml", "interop.toml")
    converge("run", "interop.toml", code=3)
    return pathlib.Path(".converge/sweeps.db").resolve()


class Running:
    """live.toml while it runs: with Running() as database: ..."""

    def __enter__(self):
        shutil.copy(HERE / "live.toml", "live.toml")
        self.process = subprocess.Popen(
            [CONVERGE, "run", "live.toml"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        return pathlib.Path(".converge/sweeps.db").resolve()

    def wait_for(self, question, seconds=60):
        """Asks until the answer is true."""
        end = time.monotonic() + seconds
        while not question():
            check(time.monotonic() < end, "it comes to pass in time")
            check(self.process.poll() is None, "the sweep goes on")
            time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def check(holds, what):
    """Ends the part where something does not hold."""
    if not holds:
        raise AssertionError(what)


def same(left, right, what):
    """Ends the part where two things differ."""
    if left != right:
        raise AssertionError(f"{what}: {left!r} is not {right!r}")


def skip(reason):
    """Ends the part: it cannot run here."""
    print(reason)
    sys.exit(77)
