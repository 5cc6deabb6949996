/**
 * The bars: one chart for each canvas of the page, drawn by Chart.js, which `page.html` loads
 * before this.
 */

import * as text from "./text.js";

/** @typedef {import("./poll.js").Shown} Shown */

/** Most bars that have their value written over them. */
const VALUES_MAX = 12;
/** Least width of a bar that has its value written over it, in pixels. */
const VALUE_WIDTH_MIN = 26;
/** Most characters of a key under its bar. */
const LABEL_MAX = 14;
/** How long bars take to their new heights. */
const MOVE_MS = 400;

/** @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** @param {string} key */
function label(key) {
  const letters = [...text.visible(key)];
  return letters.length <= LABEL_MAX ? letters.join("") : `${letters.slice(0, LABEL_MAX - 1).join("")}…`;
}

/** Writes each bar's value over it, where there is room. */
const values = {
  id: "values",
  /** @param {any} chart */
  afterDatasetsDraw(chart) {
    const bars = chart.getDatasetMeta(0).data;
    if (VALUES_MAX < bars.length || bars.some((/** @type {any} */ bar) => bar.width < VALUE_WIDTH_MIN)) return;
    const { ctx } = chart;
    ctx.save();
    ctx.fillStyle = colour("--ink");
    ctx.font = `600 11px ${getComputedStyle(chart.canvas).fontFamily}`;
    ctx.textAlign = "center";
    bars.forEach((/** @type {any} */ bar, /** @type {number} */ index) => {
      const value = chart.data.datasets[0].data[index];
      if (value === null) return;
      ctx.textBaseline = value < 0 ? "top" : "bottom";
      ctx.fillText(value.toFixed(1), bar.x, bar.y + (value < 0 ? 4 : -4));
    });
    ctx.restore();
  },
};

export class Charts {
  /** @type {{canvas: HTMLCanvasElement, index: number, chart: any}[]} */
  #charts = [];

  constructor() {
    const Chart = /** @type {any} */ (globalThis).Chart;
    if (Chart === undefined) return;
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.#charts = [...document.querySelectorAll("canvas")].map((canvas, number) => ({
      canvas,
      index: Number(canvas.dataset.index),
      chart: new Chart(canvas, configuration(canvas, number, still.matches)),
    }));
    this.#paint();
    dark.addEventListener("change", () => this.#paint());
    still.addEventListener("change", () => {
      for (const { chart } of this.#charts) chart.options.animation = movement(still.matches);
    });
  }

  /** Draws the rows that the table shows. @param {Shown} shown */
  show(shown) {
    const keys = shown.rows.shown.map(([key]) => key);
    for (const { index, chart } of this.#charts) {
      const { data } = chart;
      data.labels = keys;
      data.datasets[0].data = shown.rows.shown.map(([, cells]) => cells[index] ?? null);
      if (data.datasets[0].live === shown.final) {
        data.datasets[0].live = !shown.final;
        this.#paint();
      }
      chart.options.scales.y.ticks.display = 0 < keys.length;
      chart.update();
    }
  }

  /** Takes the colours of the style sheet: they differ in the dark, and while a window is live. */
  #paint() {
    this.#charts.forEach(({ chart }, number) => {
      const series = colour(`--series-${1 + (number % 4)}`);
      const set = chart.data.datasets[0];
      set.backgroundColor = set.live ? colour(`--series-${1 + (number % 4)}-live`) : series;
      set.borderColor = series;
      const { x, y } = chart.options.scales;
      x.ticks.color = y.ticks.color = colour("--muted");
      y.grid.color = colour("--line");
      x.border.color = colour("--line");
      chart.update("none");
    });
  }
}

/** @param {boolean} still */
function movement(still) {
  return still ? false : { duration: MOVE_MS };
}

/** @param {HTMLCanvasElement} canvas @param {number} number @param {boolean} still */
function configuration(canvas, number, still) {
  const { unit = "", title = "" } = canvas.dataset;
  const withUnit = (/** @type {number | null} */ value) =>
    value === null ? "no value" : `${text.decimal(value)}${unit === "" ? "" : ` ${unit}`}`;
  return {
    type: "bar",
    data: {
      labels: [],
      datasets: [{ label: title, data: [], live: true, borderWidth: { top: 2 }, borderRadius: 4,
        maxBarThickness: 56, categoryPercentage: 0.86, barPercentage: 0.86 }],
    },
    plugins: [values],
    options: {
      animation: movement(still),
      locale: "en",
      maintainAspectRatio: false,
      plugins: {
        legend: { display: false },
        tooltip: {
          displayColors: false,
          callbacks: {
            title: (/** @type {any[]} */ [item]) => text.visible(item.label).slice(0, 64),
            label: (/** @type {any} */ item) => withUnit(item.raw),
          },
        },
      },
      scales: {
        x: {
          grid: { display: false },
          border: {},
          ticks: {
            maxRotation: 50,
            callback(/** @type {number} */ index) {
              return label(/** @type {any} */ (this).getLabelForValue(index));
            },
          },
        },
        y: { beginAtZero: true, grace: "8%", border: { display: false }, grid: {}, ticks: { maxTicksLimit: 6 } },
      },
    },
  };
}
