"""`export --format parquet`: DuckDB reads both tables, and they hold what the views hold."""

import os
import pathlib
import sqlite3
import subprocess

import duckdb

from sweeps import CONVERGE, check, finished, same, skip

database = finished()
exporter = os.environ.get("CONVERGE_PARQUET", CONVERGE)


def export(*more):
    command = [exporter, "export", "--format", "parquet", "--to", "tables", *more]
    return subprocess.run(command, capture_output=True, text=True)


done = export()
if "without the feature `parquet`" in done.stderr:
    skip("the binary was built without the feature `parquet` (CONVERGE_PARQUET names another)")
same(done.returncode, 0, done.stderr)
same(export().returncode, 2, "there is an export already")
same(export("--force").returncode, 0, "it is replaced")
same([path.name for path in pathlib.Path(".").glob(".tables*")], [], "nothing is left aside")

home = sqlite3.connect(database)
home.row_factory = sqlite3.Row
trials = duckdb.sql("select * from 'tables/trials.parquet' order by trial").fetchdf().to_dict("records")
wide = home.execute("select * from trials_wide order by trial").fetchall()
same(len(trials), len(wide), "trials")
for one, other in zip(trials, wide):
    for name in other.keys():
        if other[name] is None:
            check(one[name] is None or one[name] != one[name], f"trial {one['trial']} {name}: {one[name]!r}")
        elif name == "max_length":
            same(one[name], str(other[name]), f"trial {one['trial']} {name}")
        else:
            same(one[name], other[name], f"trial {one['trial']} {name}")
types = dict(duckdb.sql("select column_name, column_type from (describe select * from 'tables/trials.parquet')").fetchall())
expected = {
    "learning_rate": "DOUBLE",
    "optimizer": "VARCHAR",
    "momentum": "DOUBLE",
    "batch_size": "BIGINT",
    "dropout": "DOUBLE",
    "epochs": "BIGINT",
    "max_length": "VARCHAR",
    "weight_decay": "DOUBLE",
}
same({name: types[name] for name in expected}, expected, "types of parameters")

table = "'tables/observations.parquet'"
read = duckdb.sql(f"select trial, metric, step, value, attempt from {table}").fetchall()
ours = home.execute("select trial, metric, step, value, attempt from curves order by trial, metric, step").fetchall()
plain = [(trial, metric, step, None if value != value else value, attempt) for trial, metric, step, value, attempt in read]
same(plain, [tuple(row) for row in ours], "observations, sorted")
codec = duckdb.sql(f"select distinct compression from parquet_metadata({table})").fetchall()
same(codec, [("ZSTD",)], "compression")
print(f"DuckDB: {len(trials)} trials and {len(read)} observations, as in the views")
