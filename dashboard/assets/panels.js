/**
 * The panels: text and tables. Text goes in as text; an element is touched only where it changes,
 * so that a selection or a screen reader is not disturbed once a second.
 */

import * as text from "./text.js";

/** @typedef {import("./poll.js").Shown} Shown */
/** @typedef {import("./poll.js").Partition} Partition */

/** From this age on a state is said to be old. */
const OLD_MS = 3000;
/** Least time between two things that a screen reader is told. */
const SUMMARY_EVERY_MS = 30_000;


/**
 * How far the watermark is behind; with its date where that is not today: a time of day alone would hide
 * that it stands in another year.
 * @param {number} watermark
 * @param {number} at
 * @param {number} now
 */
function behind(watermark, at, now) {
  const date = text.date(watermark);
  return `${date === text.date(at) ? "" : `${date}, `}${text.duration(now - watermark)} behind now`;
}

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {Element} target @param {string} value */
function write(target, value) {
  if (target.textContent !== value) target.textContent = value;
}

/** @param {string} id @param {string} value */
function say(id, value) {
  write(element(id), value);
}

/** @param {Element} target @param {string} name @param {string} value */
function mark(target, name, value) {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

/**
 * Gives a table's body as many rows as there are items, and fills each.
 * @template T
 * @param {string} id
 * @param {readonly T[]} items
 * @param {() => HTMLTableRowElement} make an empty row
 * @param {(row: HTMLTableRowElement, item: T) => void} fill
 */
function fillTable(id, items, make, fill) {
  const body = /** @type {HTMLTableElement} */ (element(id)).tBodies[0];
  while (items.length < body.rows.length) body.deleteRow(-1);
  while (body.rows.length < items.length) body.append(make());
  items.forEach((item, index) => fill(body.rows[index], item));
}

/** A row of a heading and cells. @param {string[]} classes of the cells */
function newRow(classes) {
  const row = document.createElement("tr");
  const heading = document.createElement("th");
  heading.scope = "row";
  heading.className = "key";
  row.append(heading);
  for (const name of classes) row.insertCell().className = name;
  return row;
}

export class Panels {
  /** Where the column of each heading is among the cells. */
  #columns = [...document.querySelectorAll("#rows thead th[data-index]")].map((heading) =>
    Number(/** @type {HTMLElement} */ (heading).dataset.index),
  );
  /** Which headings stand over whole numbers. */
  #whole = [...document.querySelectorAll("#rows thead th[data-index]")].map(
    (heading) => /** @type {HTMLElement} */ (heading).dataset.kind === "int",
  );
  #said = "";
  #saidAt = -Infinity;

  /** Writes what a state says. @param {Shown} shown */
  show(shown) {
    this.#job(shown);
    this.#rows(shown);
    this.#partitions(shown);
    this.#ledger(shown);
    this.#openWindows(shown);
  }

  /**
   * Writes what depends on the time as well.
   * @param {Shown} shown
   * @param {number} now the job's civil time, epoch milliseconds
   * @param {number} age of the state, in milliseconds
   * @param {number | null} lostFor how long the job has not been reached, in milliseconds
   */
  tick(shown, now, age, lostFor) {
    const isOver = shown.phase === "finished";
    const status = element("status");
    mark(status, "data-state", lostFor === null ? shown.condition : "lost");
    mark(status, "data-trouble", String(lostFor === null && shown.troubles.length > 0));
    say("status-text", lostFor === null
      ? shown.condition_title
      : `Not reachable for ${text.duration(lostFor)}`);
    const old = OLD_MS <= age && !isOver ? `, ${text.duration(age)} ago` : "";
    say("as-of", `as of ${text.clock(shown.at)} UTC${old}`);
    say("behind", shown.watermark === null ? "" : behind(shown.watermark, shown.at, now));
    shown.partitions.forEach((partition, index) => {
      const cell = /** @type {HTMLTableElement} */ (element("partitions")).tBodies[0].rows[index].cells[4];
      const since = partition.last_record_at;
      write(cell, since === null ? text.NOTHING : text.duration((isOver ? shown.at : now) - since));
    });
    this.#summarise(shown, lostFor);
  }

  /** @param {Shown} shown */
  #job(shown) {
    const { window } = shown;
    say("condition-note", shown.condition_note);
    const troubles = element("troubles");
    troubles.hidden = shown.troubles.length === 0;
    const said = [...troubles.children].map((item) => item.textContent);
    if (said.length !== shown.troubles.length || said.some((text, index) => text !== shown.troubles[index])) {
      troubles.replaceChildren(...shown.troubles.map((trouble) => {
        const item = document.createElement("li");
        item.textContent = trouble;
        return item;
      }));
    }
    say("topic", text.visible(shown.topic));
    say("window", window === null ? text.NOTHING : text.window(window));
    say("window-date", window === null ? "" : `${text.date(window.start)}, times in UTC`);
    const state = element("window-state");
    state.hidden = window === null;
    mark(state, "data-final", String(shown.final));
    write(state, shown.final ? "final" : "live");
    say("rows-count", shown.rows.count);
    say("window-note", shown.window_note);
    say("watermark", text.clock(shown.watermark));
    say("watermark-note", shown.watermark_note);
    say("rate", text.rate(shown.records_per_second));
    say("lag", text.countOrUnknown(shown.lag));
    say("open-count", text.count(shown.open_windows_count));
    say("final-rows", text.count(shown.final_rows));
    say("notice", shown.notice ?? "");
    element("notice").hidden = shown.notice === null;
  }

  /** @param {Shown} shown */
  #rows({ rows }) {
    for (const note of document.querySelectorAll(".rows-note")) write(note, rows.note);
    const make = () => {
      const row = newRow(this.#columns.map(() => ""));
      row.cells[0].append(document.createElement("bdi"));
      this.#columns.forEach((_, index) => row.cells[index + 1].append(document.createElement("data")));
      return row;
    };
    fillTable("rows", rows.shown, make, (row, [key, cells]) => {
      const name = /** @type {HTMLElement} */ (row.cells[0].firstElementChild);
      const visible = text.visible(key);
      write(name, visible);
      mark(name, "title", visible);
      this.#columns.forEach((column, index) => {
        const data = /** @type {HTMLDataElement} */ (row.cells[index + 1].firstElementChild);
        const cell = cells[column] ?? null;
        mark(data, "value", cell === null ? "" : String(cell));
        write(data, cell === null ? text.NOTHING : this.#whole[index] ? text.count(cell) : text.decimal(cell));
      });
    });
    say("page-note", `page ${text.count(rows.page)} of ${text.count(rows.pages)}`);
    this.#link("previous", rows.page - 1, rows.pages);
    this.#link("next", rows.page + 1, rows.pages);
  }

  /** A link to a page of rows, if there is that page. @param {string} id @param {number} page @param {number} pages */
  #link(id, page, pages) {
    const link = element(id);
    if (1 <= page && page <= pages) {
      const query = new URLSearchParams(location.search);
      query.set("page", String(page));
      mark(link, "href", `/?${query}`);
      link.removeAttribute("aria-disabled");
    } else {
      link.removeAttribute("href");
      mark(link, "aria-disabled", "true");
    }
  }

  /** @param {Shown} shown */
  #partitions(shown) {
    const { partitions, partitions_count: all } = shown;
    const which = partitions.length === all ? text.count(all)
      : `the ${text.count(partitions.length)} furthest behind of ${text.count(all)}`;
    say("partitions-note", `${which}, times in UTC`);
    const make = () => {
      const row = newRow(["words", ..."123456789".split("").map(() => "")]);
      const state = document.createElement("span");
      state.className = "state";
      const note = document.createElement("span");
      note.className = "state-note";
      row.cells[1].append(state, " ", note);
      return row;
    };
    fillTable("partitions", partitions, make, (row, partition) => {
      row.classList.toggle("holds-back", partition.holds_back);
      write(row.cells[0], String(partition.partition));
      const [state, note] = row.cells[1].children;
      mark(state, "data-state", partition.state);
      write(state, partition.state);
      write(note, partition.state_note);
      write(row.cells[2], text.clock(partition.watermark));
      write(row.cells[3], text.clock(partition.max_event_time));
      const counts = [partition.position, partition.lag, partition.late, partition.dead_letters,
        partition.skipped];
      counts.forEach((value, index) => write(row.cells[5 + index], text.countOrUnknown(value)));
      write(row.cells[10], String(partition.worker));
    });
  }

  /** @param {Shown} shown */
  #ledger({ ledger, epoch, in_flight: inFlight }) {
    say("epoch", text.count(epoch));
    say("read", text.count(ledger.read));
    say("windowed", text.count(ledger.windowed));
    say("late", text.count(ledger.late));
    say("dead-letters", text.count(ledger.dead_letters));
    say("in-flight", text.count(inFlight));
    mark(element("balance"), "data-alarm", String(ledger.alarm !== null));
    mark(element("balance"), "data-doubtful", String(ledger.doubtful));
    say("balance", ledger.balance);

    const parts = [ledger.windowed, ledger.late, ledger.dead_letters];
    const all = Math.max(1, parts.reduce((sum, part) => sum + part, 0));
    let before = 0;
    parts.forEach((part, index) => {
      const rect = element("shares").children[index];
      mark(rect, "x", `${((100 * before) / all).toFixed(2)}%`);
      mark(rect, "width", `${((100 * part) / all).toFixed(2)}%`);
      before += part;
    });

    const list = element("reasons");
    const reasons = ledger.reasons;
    const lines = reasons.map(({ code, words, count }) => `${code} ${words} ${text.count(count)}`).join();
    if (list.dataset.lines === lines) return;
    list.dataset.lines = lines;
    const items = reasons.map((reason) => {
      const [item, code, words, number] =
        ["li", "code", "span", "span"].map((name) => document.createElement(name));
      code.textContent = reason.code;
      words.className = "reason-words";
      words.textContent = reason.words;
      number.textContent = text.count(reason.count);
      item.append(code, " ", words, " ", number);
      return item;
    });
    const none = document.createElement("li");
    none.textContent = "none";
    list.replaceChildren(...(items.length === 0 ? [none] : items));
  }

  /** @param {Shown} shown */
  #openWindows({ open_windows: open, open_windows_count: all }) {
    say("open-note", open.length === all ? text.count(all)
      : `the ${text.count(open.length)} oldest of ${text.count(all)}`);
    fillTable("open", open, () => newRow(["", "words"]), (row, item) => {
      write(row.cells[0], text.window(item));
      write(row.cells[1], text.count(item.keys));
      write(row.cells[2], item.waits_for);
    });
  }

  /** Tells a screen reader what matters, seldom. @param {Shown} shown @param {number | null} lostFor */
  #summarise(shown, lostFor) {
    const summary = lostFor !== null ? "The job is not reachable."
      : shown.ledger.alarm ?? shown.troubles[0] ?? shown.notice ?? `${shown.condition_title}. `
        + `${shown.rows.count}; ${shown.watermark_note}.`;
    if (summary === this.#said || performance.now() - this.#saidAt < SUMMARY_EVERY_MS) return;
    this.#said = summary;
    this.#saidAt = performance.now();
    say("summary", summary);
  }
}
