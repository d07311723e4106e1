"""Every example of docs/schema.md runs as it stands there, in a folder with a home; its tables are those of the schema."""

import contextlib
import io
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys

from sweeps import CONVERGE, HERE, check, finished, same

database = finished()
page = (HERE.parent.parent / "docs/schema.md").read_text()
# Exports come from a binary that can make all of them, if there is one.
shutil.copy(os.environ.get("CONVERGE_PARQUET", CONVERGE), "converge")

ran = {}
blocks = re.findall(r"^(<!-- (needs .*?) -->\n)?```(\w+)\n(.*?)^```$", page, re.M | re.S)
has_parquet = "without the feature" not in subprocess.run(
    ["./converge", "export", "--format", "parquet", "--to", "probe"], capture_output=True, text=True
).stderr
for _, needs, language, text in blocks:
    if needs == "needs parquet" and not has_parquet:
        ran["left out"] = ran.get("left out", 0) + 1
        continue
    check(needs in ("", "needs parquet"), needs)
    try:
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, "docs/schema.md", "exec"), {"__name__": "example"})
            check(out.getvalue().strip(), "it prints something")
        elif language == "sql":
            rows = sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute(text).fetchall()
            check(rows, "it has rows")
        elif language == "sh":
            done = subprocess.run(["bash", "-ec", f'PATH="$PWD:$PATH"\n{text}'], capture_output=True, text=True)
            check(done.returncode == 0, done.stderr)
        elif language == "text":
            # Shown only: the part `optuna` runs these commands.
            continue
        else:
            raise AssertionError(f"a block of `{language}`")
    except Exception as error:
        sys.exit(f"docs/schema.md, this {language} block: {type(error).__name__}: {error}\n{text}")
    ran[language] = ran.get(language, 0) + 1
check(ran.get("python", 0) >= 3 and ran.get("sql", 0) >= 3, f"{ran}")

# The page has every column of the stable views, in order, and no other.
connection = sqlite3.connect(database)
parameters = {name for (name,) in connection.execute("select distinct name from parameters")}
for view in ("best_configuration", "trials_wide", "curves"):
    section = page.split(f"## `{view}`", 1)[1].split("\n## ", 1)[0]
    described = re.findall(r"^\| `(\w+)` \|", section, re.M)
    columns = [row[1] for row in connection.execute(f"pragma table_info({view})") if row[1] not in parameters]
    same(described, columns, f"columns of {view} in docs/schema.md")
print(f"docs/schema.md: its columns are those of the views; examples run: {ran}")
