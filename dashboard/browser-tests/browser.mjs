/**
 * A real browser, and what it complains of.
 */

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How long a test waits for something on the page: longer than the page waits for an answer. */
const PATIENCE_MS = 20_000;

/** Starts the browser, with a profile of its own. */
export async function launch() {
  if (!existsSync(CHROMIUM)) {
    throw new Error(`no browser at ${CHROMIUM}: install Debian's chromium, or name one with CHROMIUM`);
  }
  return await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
}

/**
 * Opens a page that writes down whatever a developer would see on the console.
 * @param {import("playwright-core").Browser} browser
 * @param {import("playwright-core").BrowserContextOptions} options
 */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  /** @type {string[]} */
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.exposeFunction("violated", (/** @type {string} */ what) => complaints.push(`policy: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      /** @type {any} */ (window).violated(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return { page, complaints, close: () => context.close() };
}

/**
 * Lets the page have one state and no further one, and returns what `/metrics` said at the same
 * snapshot. A job that runs moves on between two requests, so both are asked for until they agree.
 * @param {import("playwright-core").Page} page
 * @param {string} address
 */
export async function hold(page, address) {
  const { view, metrics, snapshot } = await agreeing(page, address);
  await page.route("**/api/view*", (route) =>
    route.fulfill({ status: 200, contentType: "application/json", body: view }),
  );
  await page.waitForFunction((number) => document.body.dataset.snapshot === number, snapshot);
  return { metrics, shown: JSON.parse(view) };
}

/** @param {import("playwright-core").Page} page @param {string} address */
async function agreeing(page, address) {
  for (let tries = 0; tries < 50; tries += 1) {
    const view = await page.request.get(new URL("/api/view", address).href);
    const metrics = await page.request.get(new URL("/metrics", address).href);
    const [seen, said] = [view, metrics].map((answer) => answer.headers()["strandline-snapshot"]);
    if (seen === said) return { view: await view.text(), metrics: await metrics.json(), snapshot: seen };
  }
  throw new Error("the job publishes faster than two requests can be answered");
}

/**
 * The rows of a `/metrics` document, by key.
 * @param {Record<string, any>} metrics
 * @returns {Map<string, Record<string, any>>}
 */
export function rowsOf(metrics) {
  // The other list of the document says in what condition the job is.
  const { conditions: _, ...document } = metrics;
  const rows = Object.values(document).find(Array.isArray) ?? [];
  return new Map(
    rows.map((/** @type {Record<string, any>} */ row) => [
      Object.values(row).find((value) => typeof value === "string"),
      row,
    ]),
  );
}

/**
 * What each chart holds, and how many pixels of its canvas are painted.
 * @param {import("playwright-core").Page} page
 * @returns {Promise<{column: string, labels: string[], values: (number | null)[], painted: number}[]>}
 */
export async function charts(page) {
  return await page.evaluate(() =>
    [...document.querySelectorAll("canvas")].map((canvas) => {
      const chart = /** @type {any} */ (globalThis).Chart.getChart(canvas);
      const { data } = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))
        .getImageData(0, 0, canvas.width, canvas.height);
      let painted = 0;
      for (let alpha = 3; alpha < data.length; alpha += 4) painted += data[alpha] === 0 ? 0 : 1;
      return {
        column: canvas.dataset.column ?? "",
        labels: [...chart.data.labels],
        values: [...chart.data.datasets[0].data],
        painted: painted / (canvas.width * canvas.height),
      };
    }),
  );
}
