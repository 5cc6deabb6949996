/**
 * The page of a job that runs: a fixture, or the job at PAGE_URL.
 *
 * `node --test` runs it against a fixture; `PAGE_URL=http://127.0.0.1:5000/ node --test
 * page.test.mjs` against a job that has been started by somebody else.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { charts, hold, launch, open, rowsOf } from "./browser.mjs";

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("./fixture.mjs").Fixture | undefined} */
let fixture;
let address = process.env.PAGE_URL ?? "";

before(async () => {
  browser = await launch();
  if (address === "") {
    const { Fixture } = await import("./fixture.mjs");
    fixture = await Fixture.start();
    await fixture.tell("play");
    address = fixture.address;
  }
});

after(async () => {
  await browser?.close();
  await fixture?.stop();
});

/** Opens the page, with bars that stand where they belong at once. @param {import("playwright-core").BrowserContextOptions} options */
async function opened(options = {}) {
  const tab = await open(browser, { reducedMotion: "reduce", ...options });
  await tab.page.goto(address);
  await tab.page.waitForFunction(() => document.querySelectorAll("#rows tbody tr").length > 0);
  return tab;
}

test("charts are drawn, and hold the numbers of /metrics", async () => {
  const { page, close } = await opened();
  const { metrics, shown } = await hold(page, address);
  const rows = rowsOf(metrics);
  const drawn = await charts(page);
  assert.deepEqual(drawn.map(({ column }) => column), ["avg_temperature", "avg_humidity"]);
  for (const { column, labels, values, painted } of drawn) {
    assert.deepEqual(labels, shown.rows.shown.map(([/** @type {string} */ key]) => key));
    assert.ok(labels.length > 0);
    assert.deepEqual(values, labels.map((key) => rows.get(key)?.[column]), column);
    // Eight bars of a chart fill far more of it than its axes do.
    assert.ok(painted > 0.1, `${column}: ${painted} of the canvas is painted`);
  }
  await close();
});

test("the bars are as high as their values", async () => {
  const { page, close } = await opened();
  const { shown } = await hold(page, address);
  const heights = await page.evaluate(() =>
    [...document.querySelectorAll("canvas")].map((canvas) => {
      const chart = /** @type {any} */ (globalThis).Chart.getChart(canvas);
      const { y } = chart.scales;
      return chart.getDatasetMeta(0).data.map((/** @type {any} */ bar, /** @type {number} */ index) => {
        const value = chart.data.datasets[0].data[index];
        if (value === null) return 0;
        const { data } = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).getImageData(
          Math.round(bar.x * chart.currentDevicePixelRatio),
          Math.round((y.getPixelForValue(value) + y.bottom) / 2 * chart.currentDevicePixelRatio), 1, 1);
        return data[3] === 255 ? Math.abs(bar.y - y.getPixelForValue(value)) : Infinity;
      });
    }),
  );
  assert.equal(heights.flat().length, 2 * shown.rows.shown.length);
  for (const off of heights.flat()) assert.ok(off < 1, `a bar ends ${off} px from its value`);
  await close();
});

test("the table, the window and the ledger are those of /metrics", async () => {
  const { page, close } = await opened();
  const { metrics, shown } = await hold(page, address);
  const table = await page.evaluate(() => {
    const columns = [...document.querySelectorAll("#rows thead th[data-column]")]
      .map((heading) => /** @type {HTMLElement} */ (heading).dataset.column ?? "");
    const rows = [...document.querySelectorAll("#rows tbody tr")].map((row) =>
      [...row.querySelectorAll("data")].map(({ value, textContent }) => [value, textContent]));
    return { columns, rows };
  });
  assert.deepEqual(table.columns, ["count", "avg_temperature", "avg_humidity", "min_battery", "max_battery"]);
  const rows = rowsOf(metrics);
  assert.equal(table.rows.length, shown.rows.shown.length);
  shown.rows.shown.forEach(([/** @type {string} */ key], /** @type {number} */ index) => {
    table.columns.forEach((column, at) => {
      const [value, text] = table.rows[index][at];
      const expected = rows.get(key)?.[column];
      assert.equal(value, expected === null ? "" : String(expected), `${key} ${column}`);
      const written = expected === null ? "–" : column === "count" ? grouped(expected) : expected.toFixed(2);
      assert.equal(text, written, `${key} ${column}`);
    });
  });

  const text = (/** @type {string} */ id) => page.locator(`#${id}`).innerText();
  const clock = (/** @type {number} */ millis) => new Date(millis).toISOString().slice(11, 19);
  assert.equal(await text("window"), `${clock(metrics.window.start)} – ${clock(metrics.window.end)}`);
  assert.equal(await text("window-date"), `${new Date(metrics.window.start).toISOString().slice(0, 10)}, times in UTC`);
  assert.equal(await text("window-state"), metrics.final ? "final" : "live");
  assert.equal(await text("rows-count"), rows.size === 1 ? "1 device" : `${grouped(rows.size)} devices`);
  assert.equal(await text("watermark"), metrics.watermark === null ? "–" : clock(metrics.watermark));
  const { read, windowed, late, dead_letters: dead } = metrics.ledger;
  for (const [id, count] of Object.entries({ read, windowed, late, "dead-letters": dead, epoch: metrics.epoch, "in-flight": metrics.in_flight })) {
    assert.equal(await text(id), grouped(count), id);
  }
  assert.equal(read, windowed + late + dead);
  assert.equal(await page.locator("#balance").getAttribute("data-alarm"), "false");
  await close();
});

test("numbers change by themselves, within two seconds of each other", async () => {
  const { page, close } = await opened();
  const state = () => page.evaluate(() => [document.body.dataset.snapshot, document.querySelector("#read")?.textContent]);
  const [first, read] = await state();
  await page.waitForFunction(([first, read]) =>
    document.body.dataset.snapshot !== first && document.querySelector("#read")?.textContent !== read, [first, read]);
  const moments = await page.evaluate(() => new Promise((resolve) => {
    /** @type {number[]} */
    const seen = [];
    const observer = new MutationObserver(() => {
      if (seen.push(performance.now()) === 4) {
        observer.disconnect();
        resolve(seen);
      }
    });
    observer.observe(document.body, { attributeFilter: ["data-snapshot"] });
  }));
  const gaps = moments.slice(1).map((/** @type {number} */ moment, /** @type {number} */ index) => moment - moments[index]);
  for (const gap of gaps) assert.ok(gap < 2000, `${gap} ms between two refreshes`);
  await close();
});

test("there is nothing on the console, and nothing comes from elsewhere", async () => {
  const tab = await open(browser);
  /** @type {string[]} */
  const foreign = [];
  /** @type {string[]} */
  const failed = [];
  const { origin } = new URL(address);
  tab.page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) foreign.push(request.url());
  });
  tab.page.on("response", (response) => {
    if (response.status() >= 400) failed.push(`${response.status()} ${response.url()}`);
  });
  await tab.page.goto(address);
  const polled = () => tab.page.waitForResponse("**/api/view*");
  for (let count = 0; count < 3; count += 1) await polled();
  await tab.page.locator("#find-text").fill("a");
  await polled();
  await tab.page.locator("canvas").first().hover();
  await polled();
  assert.deepEqual({ complaints: tab.complaints, foreign, failed }, { complaints: [], foreign: [], failed: [] });
  await tab.close();
});

test("on a phone nothing is wider than the screen", async () => {
  for (const width of [360, 320]) {
    const { page, close } = await opened({ viewport: { width, height: 740 }, hasTouch: true, isMobile: true });
    await page.waitForResponse("**/api/view*");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${wide} px at ${width}`);
    const drawn = await charts(page);
    for (const { column, painted } of drawn) assert.ok(painted > 0.1, `${column}: ${painted}`);
    await close();
  }
});

/** @param {number} value */
function grouped(value) {
  return value.toLocaleString("en-US");
}
