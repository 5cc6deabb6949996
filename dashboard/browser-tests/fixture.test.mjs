/**
 * What the page does when things happen to it: a fixture that does what it is told.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { charts, launch, open } from "./browser.mjs";
import { Fixture } from "./fixture.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {Fixture} */
let fixture;
/** @type {(() => Promise<void>)[]} */
let tabs = [];

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});
beforeEach(async () => {
  fixture = await Fixture.start();
});
afterEach(async () => {
  for (const close of tabs.splice(0)) await close();
  await fixture.stop();
});

/** @param {import("playwright-core").BrowserContextOptions} options @param {string} path */
async function opened(options = {}, path = "") {
  const tab = await open(browser, options);
  tabs.push(tab.close);
  await tab.page.goto(fixture.address + path);
  return tab;
}

/** Waits until the page shows that snapshot. @param {import("playwright-core").Page} page @param {string} snapshot */
async function shows(page, snapshot) {
  await page.waitForFunction((number) => document.body.dataset.snapshot === number, snapshot);
}

/** Waits until an element has that text. @param {import("playwright-core").Page} page @param {string} id @param {RegExp} pattern */
async function says(page, id, pattern) {
  await page.waitForFunction(
    ([id, source]) => new RegExp(source).test(document.getElementById(id)?.textContent ?? ""),
    [id, pattern.source],
  );
  return await page.locator(`#${id}`).innerText();
}

/** The text of everything that has a name and does not depend on the time of day. @param {import("playwright-core").Page} page */
async function texts(page) {
  return await page.evaluate(() => {
    const moving = ["tide", "behind", "summary", "as-of"];
    const named = [...document.querySelectorAll("body [id]")].filter(({ id }) => !moving.includes(id));
    const text = (/** @type {Element} */ element) => {
      const copy = /** @type {Element} */ (element.cloneNode(true));
      for (const cell of copy.querySelectorAll("#partitions td:nth-child(5), noscript")) cell.remove();
      return (copy.textContent ?? "").replace(/\s+/g, " ").replace(/> </g, "><").trim();
    };
    return Object.fromEntries(named.map((element) => [element.id, text(element)]));
  });
}

test("the script writes what the server has written", async () => {
  for (const commands of [["live"], ["final", "lose 4"], ["devices 3000", "partitions 130"], ["hostile"], ["finished"], ["empty"]]) {
    const snapshot = await fixture.tell(...commands);
    const plain = await opened({ javaScriptEnabled: false });
    const scripted = await opened();
    await scripted.page.waitForResponse("**/api/view*");
    await shows(scripted.page, snapshot);
    // Playwright's own scripts run on either page.
    const [written, rewritten] = [await texts(plain.page), await texts(scripted.page)];
    assert.ok(Object.keys(written).length > 25);
    assert.deepEqual(squeezed(rewritten), squeezed(written), commands.join());
  }
});

/** Spaces between elements are the template's business. @param {Record<string, string>} texts */
function squeezed(texts) {
  return Object.fromEntries(Object.entries(texts).map(([id, text]) => [id, text.replace(/ /g, "")]));
}

test("without JavaScript the page has the numbers, and finds and pages rows", async () => {
  await fixture.tell("devices 1000");
  const { page } = await opened({ javaScriptEnabled: false });
  assert.equal(await page.locator("#rows-count").innerText(), "1,000 devices");
  assert.equal(await page.locator("#rows tbody tr").count(), 50);
  assert.equal(await page.locator(".charts").isVisible(), false);
  await page.locator("#next").click();
  assert.equal(await page.locator("#page-note").innerText(), "page 2 of 20");
  await page.locator("#find-text").fill("LAMP-0006");
  await page.locator("#find button").click();
  assert.equal(await page.locator("#rows tbody").innerText().then((text) => text.split("\t")[0]), "lamp-0006");
});

test("nobody who writes a key writes the page", async () => {
  await fixture.tell("hostile");
  const { page, complaints } = await opened();
  const title = await page.title();
  await page.waitForResponse("**/api/view*");
  await page.waitForFunction(() => document.querySelectorAll("#rows tbody tr").length === 15);
  const names = await page.locator("#rows tbody bdi").allTextContents();
  for (const expected of ["<script>document.title='owned'</script>", "<img src=x onerror=alert(1)>", "nul␀in the middle", "line␊break␉tab", "__proto__", "␠", "\u202edesrever"]) {
    assert.ok(names.includes(expected), expected);
  }
  const foreign = await page.evaluate(() =>
    [...document.querySelectorAll("#rows tbody *")].map(({ localName }) => localName)
      .filter((name) => !["tr", "th", "td", "bdi", "data"].includes(name)));
  assert.deepEqual(foreign, []);
  assert.equal(await page.locator("script").count(), 2);
  assert.equal(await page.title(), title);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 1280, `${wide}`);
  await page.locator("canvas").first().hover();
  assert.deepEqual(complaints, []);
});

test("a hundred thousand devices do not freeze the page", async () => {
  await fixture.tell("devices 100000", "play");
  const tab = await open(browser);
  tabs.push(tab.close);
  const { page } = tab;
  await page.addInitScript(() => {
    /** @type {any} */ (window).tasks = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) /** @type {any} */ (window).tasks.push(entry.duration);
    }).observe({ type: "longtask", buffered: true });
  });
  await page.goto(fixture.address);
  for (let count = 0; count < 4; count += 1) await page.waitForResponse("**/api/view*");
  assert.equal(await page.locator("#rows tbody tr").count(), 50);
  assert.equal(await page.locator(".rows-note").first().innerText(), "1–50 of 100,000 devices");
  const longest = await page.evaluate(() => Math.max(0, .../** @type {any} */ (window).tasks));
  assert.ok(longest < 1000, `the page was busy for ${longest} ms`);

  await page.locator("#next").click();
  await says(page, "page-note", /^page 2 of 2,000$/);
  await page.locator("#find-text").fill("lamp-09999");
  await says(page, "page-note", /^page 1 of 1$/);
  const names = await page.locator("#rows tbody bdi").allTextContents();
  assert.ok(names.length > 0 && names.every((name) => name.startsWith("lamp-09999")), names.join());
  assert.deepEqual((await charts(page))[0].labels, names);
  await page.reload();
  await says(page, "page-note", /^page 1 of 1$/);
  assert.equal(await page.locator("#find-text").inputValue(), "lamp-09999");
});

test("before the first record it says what it waits for, and nothing jumps when it comes", async () => {
  await fixture.tell("empty");
  const tab = await open(browser);
  tabs.push(tab.close);
  const { page } = tab;
  await page.addInitScript(() => {
    /** @type {any} */ (window).shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) /** @type {any} */ (window).shift += /** @type {any} */ (entry).value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(fixture.address);
  assert.equal(await says(page, "notice", /./), "Waiting for the first record");
  const height = () => page.evaluate(() => document.documentElement.scrollHeight);
  await page.waitForResponse("**/api/view*");
  const before = await height();
  for (const command of ["filled", "devices 30", "partitions 12", "devices 2", "lose 1"]) {
    await shows(page, await fixture.tell(command));
    assert.equal(await height(), before, command);
  }
  assert.equal(await page.locator("#notice").isVisible(), false);
  const shift = await page.evaluate(() => /** @type {any} */ (window).shift);
  assert.ok(shift < 0.01, `things moved by ${shift}`);
});

test("an imbalance is an alarm that can be seen and heard", async () => {
  const { page } = await opened();
  const balance = page.locator("#balance");
  assert.match(await says(page, "balance", /Balances/), /dead letters of/);
  await fixture.tell("lose 3");
  await says(page, "balance", /Does not balance: 3 records lost/);
  assert.equal(await balance.getAttribute("role"), "alert");
  assert.equal(await balance.getAttribute("data-alarm"), "true");
  await fixture.tell("lose 0");
  await says(page, "balance", /Balances/);
});

test("the status is that of the job", async () => {
  const { page } = await opened();
  for (const [command, text] of [["stopping", /^Stopping$/], ["running", /^Running$/], ["finished", /^Finished$/]]) {
    await fixture.tell(/** @type {string} */ (command));
    await says(page, "status-text", /** @type {RegExp} */ (text));
  }
  await says(page, "watermark-note", /^everything is final$/);
});

test("a trouble is said in the heading and above the numbers for as long as it lasts", async () => {
  const { page } = await opened();
  const troubles = page.locator("#troubles");
  await says(page, "status-text", /^Running$/);
  assert.equal(await troubles.isVisible(), false);
  await fixture.tell("trouble");
  await says(page, "status-text", /^Waiting for Kafka$/);
  assert.equal(await page.locator("#status").getAttribute("data-trouble"), "true");
  await says(page, "troubles", /^Waiting for Kafka since 2026-03-01 12:00:00 UTC: cannot reach Kafka at/);
  assert.equal(await troubles.getAttribute("role"), "alert");
  await says(page, "watermark-note", /^waiting for Kafka$/);
  await fixture.tell("mended");
  await says(page, "status-text", /^Running$/);
  assert.equal(await troubles.isVisible(), false);
});

test("the partition that holds the watermark is marked", async () => {
  const { page } = await opened();
  await page.waitForResponse("**/api/view*");
  const marked = page.locator("#partitions tr.holds-back");
  assert.equal(await marked.count(), 1);
  assert.match(await marked.innerText(), /^3\s+active holds the watermark/);
  assert.equal(await page.locator("#watermark-note").innerText(), "waits for partition 3");
  assert.equal(await page.locator("#tide circle.holds-back").count(), 1);
  assert.equal(await page.locator("#tide rect.open").count(), 4);
});

test("it says when the job is gone, and goes on when it is back", async () => {
  const { page } = await opened();
  await page.waitForResponse("**/api/view*");
  const port = Number(new URL(fixture.address).port);
  await fixture.stop();
  await says(page, "status-text", /^Not reachable for [1-9]\d* s$/);
  const since = await page.locator("#status-text").innerText();
  await says(page, "status-text", new RegExp(`^(?!${since}$)Not reachable for`));
  assert.equal(await page.locator("#rows tbody tr").count(), 8, "the last numbers stay");
  assert.match(await says(page, "as-of", / s ago$/), /^as of 12:01:40 UTC, \d+ s ago$/);
  fixture = await Fixture.start(port);
  // It may ask before the job has been told.
  const snapshot = await fixture.tell("devices 5");
  await shows(page, snapshot);
  await says(page, "status-text", /^Running$/);
  assert.equal(await page.locator("#rows tbody tr").count(), 5);
});

test("a job that hangs is as good as gone", async () => {
  const { page } = await opened();
  await page.waitForResponse("**/api/view*");
  await page.route("**/api/view*", () => {});
  await says(page, "status-text", /^Not reachable for/);
  await page.unroute("**/api/view*");
  await says(page, "status-text", /^Running$/);
});

test("what has not changed is not sent again", async () => {
  const { page } = await opened();
  const answers = [];
  while (answers.length < 3) answers.push((await page.waitForResponse("**/api/view*")).status());
  assert.deepEqual(answers.slice(1), [304, 304]);
  await fixture.tell("step");
  const answer = await page.waitForResponse("**/api/view*");
  assert.equal(answer.status(), 200);
});

test("a page that nobody sees does not ask", async () => {
  const { page } = await opened();
  await page.waitForResponse("**/api/view*");
  const turn = (/** @type {boolean} */ hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await turn(true);
  let asked = 0;
  page.on("request", () => { asked += 1; });
  await page.waitForTimeout(2500);
  assert.equal(asked, 0);
  const snapshot = await fixture.tell("step 4");
  await turn(false);
  await shows(page, snapshot);
});

test("it follows the reader's light or dark, also while it is open", async () => {
  const { page } = await opened({ colorScheme: "light" });
  await page.waitForResponse("**/api/view*");
  const look = () => page.evaluate(() => {
    const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector("canvas"));
    const chart = /** @type {any} */ (globalThis).Chart.getChart(canvas);
    const shade = (/** @type {string} */ colour) => Number(/\d+/.exec(colour)?.[0]);
    return {
      ground: shade(getComputedStyle(document.body).backgroundColor),
      ink: shade(getComputedStyle(document.body).color),
      ticks: chart.options.scales.x.ticks.color,
    };
  });
  const light = await look();
  await page.emulateMedia({ colorScheme: "dark" });
  // The page hears of it a moment later.
  await page.waitForFunction((colour) => {
    const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector("canvas"));
    return /** @type {any} */ (globalThis).Chart.getChart(canvas).options.scales.x.ticks.color !== colour;
  }, light.ticks);
  const dark = await look();
  assert.ok(light.ground > 200 && light.ink < 60, JSON.stringify(light));
  assert.ok(dark.ground < 60 && dark.ink > 200, JSON.stringify(dark));
});

test("who wants no motion gets none", async () => {
  const { page } = await opened({ reducedMotion: "reduce" });
  await page.waitForResponse("**/api/view*");
  const still = await page.evaluate(() => ({
    bars: /** @type {any} */ (globalThis).Chart.getChart(document.querySelector("canvas")).options.animation,
    running: document.getAnimations().length,
  }));
  assert.deepEqual(still, { bars: false, running: 0 });
});

test("the keyboard reaches everything, and is seen to", async () => {
  await fixture.tell("devices 200");
  const { page } = await opened();
  await page.waitForResponse("**/api/view*");
  const reached = [];
  for (let count = 0; count < 12; count += 1) {
    await page.keyboard.press("Tab");
    const { name, outline } = await page.evaluate(() => {
      const element = /** @type {HTMLElement} */ (document.activeElement);
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const outline = outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
      return { name: element.id || element.className || element.localName, outline };
    });
    assert.ok(name === "body" || outline >= 2, `${name} has an outline of ${outline}`);
    reached.push(name);
  }
  for (const name of ["skip", "find-text", "scroll rows-scroll", "next", "scroll partitions-scroll"]) {
    assert.ok(reached.includes(name), `${name} in ${reached}`);
  }
});

test("a screen reader is told seldom", async () => {
  const { page } = await opened();
  await says(page, "summary", /^Running. 8 devices; waits for partition 3.$/);
  const summary = page.locator("#summary");
  const told = await summary.innerText();
  for (const [command, text] of [["stopping", /^Stopping$/], ["running", /^Running$/], ["finished", /^Finished$/]]) {
    await fixture.tell(/** @type {string} */ (command));
    await says(page, "status-text", /** @type {RegExp} */ (text));
    assert.equal(await summary.innerText(), told);
  }
});

test("a checker of accessibility finds nothing serious", async () => {
  /** @type {[string[], import("playwright-core").BrowserContextOptions][]} */
  const looks = [
    [["live"], { colorScheme: "light" }],
    [["live"], { colorScheme: "dark" }],
    [["final", "devices 200", "lose 3"], { colorScheme: "light" }],
    [["stopping"], { colorScheme: "dark" }],
    [["empty"], { colorScheme: "dark" }],
    [["filled", "finished"], { colorScheme: "light", viewport: { width: 360, height: 740 } }],
  ];
  for (const [commands, options] of looks) {
    const snapshot = await fixture.tell(...commands);
    const { page } = await opened({ reducedMotion: "reduce", ...options });
    await page.waitForResponse("**/api/view*");
    await shows(page, snapshot);
    assert.deepEqual(await serious(page), [], `${commands} ${options.colorScheme}`);
    await page.route("**/api/view*", (route) => route.abort());
    await says(page, "status-text", /^Not reachable/);
    assert.deepEqual(await serious(page), [], `${commands} ${options.colorScheme}, not reachable`);
  }
});

/** @param {import("playwright-core").Page} page */
async function serious(page) {
  await page.evaluate(AXE);
  return await page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (globalThis).axe.run();
    return violations
      .filter((/** @type {any} */ { impact }) => ["serious", "critical"].includes(impact))
      .map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => node.html).join(" ")}`);
  });
}
