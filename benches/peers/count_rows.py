"""Counts the rows that a peer wrote, and the records that they account for.

Usage: count_rows.py --rows-are=final|updates|parts FOLDER

Reads every file below FOLDER as lines of JSON with at least `device_id`, `window_start` and `count`.
Files and folders whose names begin with a dot or an underscore are an engine's own business.

final    one row of each device and window: a second one is an error, because it would be counted twice
updates  the last row of each device and window counts (rows that an engine takes back, with
         `"diff": -1`, are left out)
parts    every row is a row, and all their counts are added

Prints one line: {"rows": …, "records": …}.
"""

import json
import sys
from pathlib import Path


def rows(folder):
    for path in sorted(folder.rglob("*")):
        hidden = any(part[0] in "._" for part in path.relative_to(folder).parts)
        if hidden or not path.is_file():
            continue
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row.get("diff") != -1:
                    yield row


def main():
    rows_are, folder = sys.argv[1].removeprefix("--rows-are="), Path(sys.argv[2])
    counts, parts = {}, 0
    for row in rows(folder):
        key = (row["device_id"], row["window_start"])
        if key in counts and rows_are == "final":
            sys.exit(f"{folder}: a second row of {key}")
        before = counts.get(key, 0) if rows_are == "parts" else 0
        counts[key] = before + row["count"]
        parts += 1
    print(
        json.dumps(
            {
                "rows": parts if rows_are == "parts" else len(counts),
                "records": sum(counts.values()),
            }
        )
    )


main()
