/**
 * Keeps the page up to date. The server has written it with the numbers of the moment; from then
 * on this asks for new ones and puts them in. Nothing that comes from the job is ever parsed as
 * markup.
 */

import { Charts } from "./charts.js";
import { Panels } from "./panels.js";
import { Poll } from "./poll.js";
import { Tide } from "./tide.js";

/** @typedef {import("./poll.js").Shown} Shown */

/** How often what depends on the time alone is written anew. */
const TICK_MS = 1000;
/** How long typing may pause before the job is asked. */
const TYPING_MS = 250;

const charts = new Charts();
const panels = new Panels();
const tide = new Tide();

/** @type {Shown | null} */
let newest = null;
/** When it came, on the browser's monotonic clock. */
let newestAt = 0;
/** When the job was last heard of. */
let heardAt = performance.now();
let reachable = true;

const poll = new Poll(
  (shown) => {
    if (newest === null || shown.snapshot !== newest.snapshot) newestAt = performance.now();
    newest = shown;
    document.body.dataset.snapshot = String(shown.snapshot);
    panels.show(shown);
    charts.show(shown);
    tick();
  },
  (isReachable) => {
    reachable = isReachable;
    if (isReachable) heardAt = performance.now();
    tick();
  },
);

/** The job's civil time by now: its clock, as far as this page has followed it. */
function tick() {
  if (newest === null) return;
  const age = performance.now() - newestAt;
  panels.tick(newest, newest.at + age, age, reachable ? null : performance.now() - heardAt);
  tide.show(newest, newest.at + age);
}

/** The query of this page's address, which `/api/view` understands as well. */
function useAddress() {
  const query = new URLSearchParams(location.search);
  find.value = query.get("find") ?? "";
  poll.use(location.search);
}

/** @param {string} text @param {number} page */
function go(text, page) {
  const query = new URLSearchParams(location.search);
  query.delete("find");
  query.delete("page");
  if (text !== "") query.set("find", text);
  if (page !== 1) query.set("page", String(page));
  const written = query.toString();
  history.replaceState(null, "", written === "" ? "/" : `/?${written}`);
  poll.use(location.search);
}

const form = /** @type {HTMLFormElement} */ (document.getElementById("find"));
const find = /** @type {HTMLInputElement} */ (document.getElementById("find-text"));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing;
find.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go(find.value.trim(), 1), TYPING_MS);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  go(find.value.trim(), 1);
});
for (const [id, by] of /** @type {[string, number][]} */ ([["previous", -1], ["next", 1]])) {
  document.getElementById(id)?.addEventListener("click", (event) => {
    event.preventDefault();
    const rows = newest?.rows;
    const page = rows === undefined ? 0 : rows.page + by;
    if (rows !== undefined && 1 <= page && page <= rows.pages) go(find.value.trim(), page);
  });
}

setInterval(tick, TICK_MS);
useAddress();
