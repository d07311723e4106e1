"""Reads the schema on stdin; run by scripts/test-schema."""

import json
import sys
import tomllib
from pathlib import Path

from jsonschema import Draft202012Validator

SOUND = """
[sweep]
name = "x"
[model]
preset = "tiny"
[data]
train = "a.csv"
"""

# Each is appended to the sound file, or stands alone where it begins with [sweep].
BROKEN = [
    "[sweep]\nseed = 1\n",
    '[sweep]\nname = "a b"\n',
    '[sweep]\nname = "x"\nmethod = "gird"\n',
    '[sweep]\nname = "x"\nreplicates = 0\n',
    "[train]\nepochs = 1.5\n",
    '[train]\nlearning_rate = "1e-5"\n',
    "[train]\ndropout = 1.0\n",
    "[train]\nlearning_rte = 1e-5\n",
    '[train]\noptimizer = "adamv"\n',
    "[train]\nclass_weights = [1, -1]\n",
    "[parameters]\nlearning_rat = { values = [1e-5] }\n",
    "[parameters]\nlearning_rate = [1e-5]\n",
    "[parameters]\nlearning_rate = { values = [] }\n",
    "[parameters]\nlearning_rate = { min = 1e-5 }\n",
    "[parameters]\nlearning_rate = { values = [1e-5], min = 1e-5, max = 1e-4 }\n",
    '[parameters]\nlearning_rate = { distribution = "log_uniform", min = -5, max = -3 }\n',
    "[parameters]\nbatch_size = { values = [16, 1.5] }\n",
    '[parameters]\noptimizer = { min = "adamw", max = "sgd" }\n',
    "[[enqueue]]\n",
    "[[enqueue]]\nlearning_rat = 1e-5\n",
    "[enqueue]\nlearning_rate = 1e-5\n",
    '[[constraints]]\nif = "x"\n',
    "[[constraints]]\nunless = 1\n",
    '[run]\nworkers = "all"\n',
    '[run]\nworker = "/bin/sh"\n',
    '[budget]\nmax_wall = "soon"\n',
    "[failure]\nretries = { boredom = 1 }\n",
    '[failure]\ntimeout = "10 parsecs"\n',
    "[extra]\nx = 1\n",
    "extends = 1\n",
]

MORE_SOUND = [
    'extends = "base.toml"\n',
    SOUND + "[parameters]\ndata.train_limit = { values = [10, 20] }\n",
    SOUND + '[[enqueue]]\n"data.train_limit" = 10\nlearning_rate = 1e-5\n',
    SOUND + '[budget]\nmax_wall = "1h30m"\n[failure]\ntimeout = "2 h"\nmax_failed = "none"\n',
    SOUND + "[parameters]\ndropout = { min = 0.0, max = 0.3 }\nfreeze = { values = [2, \"encoder\"] }\n",
]


def main() -> None:
    schema = json.load(sys.stdin)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    wrong = []
    files = sorted(Path("sweeps").rglob("*.toml"))
    for path in files:
        for error in validator.iter_errors(tomllib.loads(path.read_text())):
            wrong.append(f"{path}: {error.json_path}: {error.message[:200]}")
    for text in MORE_SOUND:
        for error in validator.iter_errors(tomllib.loads(text)):
            wrong.append(f"sound, and refused: {text!r}: {error.message[:200]}")
    for text in BROKEN:
        whole = text if text.startswith(("[sweep]", "extends")) else SOUND + text
        if validator.is_valid(tomllib.loads(whole)):
            wrong.append(f"broken, and accepted: {text!r}")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"schema: {len(files)} sweep files and {len(MORE_SOUND)} others pass, {len(BROKEN)} broken ones do not")
    sys.exit(bool(wrong))


main()
