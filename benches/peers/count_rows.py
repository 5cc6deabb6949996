"""Counts the rows that a peer wrote, and the records that they account for.

Usage: count_rows.py --rows-are=final|updates --window-column=NAME FOLDER

Reads every file below FOLDER as lines of JSON with at least `device_id`, `count`, and in the column
NAME the window's start.
Files and folders whose names begin with a dot or an underscore are an engine's own business.

final    every row is a row, and all their counts are added: a device and window that has several is
         wrong, and the table says so
updates  the last row of each device and window counts (rows that an engine takes back, with
         `"diff": -1`, are left out)

Prints one line: {"rows": …, "records": …, "windows": [[…, …], …]}. For each window, the oldest first,
there are the devices that have rows, however many, and the records that these account for.
"""

import json
import sys
from pathlib import Path


def rows(folder, window_column):
    for path in sorted(folder.rglob("*")):
        hidden = any(part[0] in "._" for part in path.relative_to(folder).parts)
        if hidden or not path.is_file():
            continue
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                    key, count = (row["device_id"], row[window_column]), int(row["count"])
                except (ValueError, KeyError, TypeError) as error:
                    sys.exit(f"{path}, line {number}, is no row: {error!r}")
                if row.get("diff") != -1:
                    yield key, count


def main():
    rows_are = sys.argv[1].removeprefix("--rows-are=")
    window_column, folder = sys.argv[2].removeprefix("--window-column="), Path(sys.argv[3])
    counts, total = {}, 0
    for key, count in rows(folder, window_column):
        before = 0 if rows_are == "updates" else counts.get(key, 0)
        counts[key] = before + count
        total += 1
    windows = {}
    for (_, start), count in counts.items():
        window = windows.setdefault(start, [0, 0])
        window[0] += 1
        window[1] += count
    found = {
        "rows": len(counts) if rows_are == "updates" else total,
        "records": sum(counts.values()),
        # Starts are numbers or times in one format, so their order is that of time.
        "windows": [windows[start] for start in sorted(windows)],
    }
    print(json.dumps(found))


main()
