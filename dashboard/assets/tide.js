/**
 * The tide line: event time from left to right, what the watermark has passed filled in, the open
 * windows as boxes, each partition as a mark where its watermark is.
 *
 * It is a picture of what the tables below say in numbers.
 */

import * as text from "./text.js";

/** @typedef {import("./poll.js").Shown} Shown */

const NAMESPACE = "http://www.w3.org/2000/svg";
/** Most open windows and partitions that are drawn. */
const MARKS_MAX = 24;
/** Room beside the first and the last moment, as a share of what lies between. */
const MARGIN = 0.06;
/** Heights within the picture, in pixels. */
const [BOX_TOP, BOX_HEIGHT, LINE_BOTTOM, TEXT_BASE] = [22, 30, 70, 88];

export class Tide {
  #svg = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (document.getElementById("tide")));

  /** @param {Shown} shown @param {number} now the job's civil time, epoch milliseconds */
  show(shown, now) {
    const partitions = shown.partitions.filter((one) => one.watermark !== null).slice(0, MARKS_MAX);
    const windows = shown.open_windows.slice(-MARKS_MAX);
    if (shown.watermark === null || (windows.length === 0 && partitions.length === 0)) {
      this.#svg.replaceChildren();
      return;
    }
    const marks = partitions.map((one) => /** @type {number} */ (one.watermark));
    const first = Math.min(shown.watermark, ...marks, ...windows.map(({ start }) => start));
    const last = Math.max(shown.watermark, now, ...windows.map(({ end }) => end));
    const room = Math.max(1, last - first) * MARGIN;
    const [left, length] = [first - room, last - first + 2 * room];
    const at = (/** @type {number} */ time) => (100 * (time - left)) / length;

    const parts = [
      draw("rect", { class: "passed", x: 0, y: BOX_TOP, width: percent(at(shown.watermark)), height: LINE_BOTTOM - BOX_TOP }),
      ...windows.map((open) => draw("rect", {
        class: isShown(open, shown) ? "open shown" : "open",
        x: percent(at(open.start)),
        y: BOX_TOP + 4,
        width: percent(at(open.end) - at(open.start)),
        height: BOX_HEIGHT - 4,
      })),
      draw("line", { class: "ground", x1: 0, x2: "100%", y1: LINE_BOTTOM, y2: LINE_BOTTOM }),
      draw("line", { class: "now", x1: percent(at(now)), x2: percent(at(now)), y1: BOX_TOP - 6, y2: LINE_BOTTOM }),
      draw("line", { class: "front", x1: percent(at(shown.watermark)), x2: percent(at(shown.watermark)), y1: BOX_TOP - 6, y2: LINE_BOTTOM }),
      ...partitions.map((one) => draw("circle", {
        class: one.holds_back ? "partition holds-back" : `partition ${one.state}`,
        cx: percent(at(/** @type {number} */ (one.watermark))),
        cy: LINE_BOTTOM - 9,
        r: one.holds_back ? 6 : 4.5,
      })),
      caption("front-text", at(shown.watermark), BOX_TOP - 10, `watermark ${text.clock(shown.watermark)}`),
      caption("now-text", at(now), TEXT_BASE, `now ${text.clock(now)}`),
      caption("note-text", 0, TEXT_BASE, `final up to the watermark${shown.window === null ? "" : " · boxes: open windows · dots: partitions"}`),
    ];
    this.#svg.replaceChildren(...parts);
  }
}

/** @param {{start: number}} open @param {Shown} shown */
function isShown(open, shown) {
  return shown.window !== null && open.start === shown.window.start;
}

/** @param {number} value */
function percent(value) {
  return `${value.toFixed(3)}%`;
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function draw(name, attributes) {
  const drawn = document.createElementNS(NAMESPACE, name);
  for (const [attribute, value] of Object.entries(attributes)) drawn.setAttribute(attribute, String(value));
  return drawn;
}

/** A text at a place; towards the end of the line it ends there instead of beginning. @param {string} name @param {number} at percent @param {number} y @param {string} words */
function caption(name, at, y, words) {
  const anchor = 70 < at ? "end" : "start";
  const drawn = draw("text", { class: name, x: percent(at), y, "text-anchor": anchor });
  drawn.textContent = words;
  return drawn;
}
