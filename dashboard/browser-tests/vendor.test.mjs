/** The vendored files are the ones that their README names. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const vendor = new URL("../assets/vendor/", import.meta.url);

test("the chart library is the one that the README names", () => {
  const readme = readFileSync(new URL("README.md", vendor), "utf8");
  const rows = [...readme.matchAll(/^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$/gm)];
  assert.equal(rows.length, 1);
  for (const [, name, sum] of rows) {
    const actual = createHash("sha256").update(readFileSync(new URL(name, vendor))).digest("hex");
    assert.equal(actual, sum, name);
  }
});
