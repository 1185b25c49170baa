// One site and one browser for a test file, a new visitor for each test.
import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startBrowser, startSite } from "./capture.mjs";

/** Long enough for a message that would be sent to arrive, where the test says that none may. */
export const QUIET_MS = 250;

export let site, visit;
let chromium;
before(async () => {
  site = await startSite();
  chromium = await startBrowser();
});
after(async () => {
  await chromium?.stop();
  await site?.stop();
});
afterEach(async () => {
  await visit?.close();
  visit = undefined;
  await site.silence();
  site.nextVisitor();
});

/** Until the script has begun, and what it had to say by then is on its way: it takes the first moments in which the page has nothing else to do. */
export const atLeisure = (page) => page.evaluate(() => new Promise((done) => idle(() => idle(done))));

/** Opens a page as a new visitor. `prepare` runs in the page before any of its scripts; `arrange` is given the page before it is opened. */
export async function open(path, prepare, arrange) {
  visit = await chromium.browser.createBrowserContext();
  const page = await visit.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  await page.evaluateOnNewDocument(() => addEventListener("unhandledrejection", (event) => { throw event.reason; }));
  await page.evaluateOnNewDocument(() => { window.idle = requestIdleCallback.bind(window); });
  if (prepare) await page.evaluateOnNewDocument(prepare);
  await arrange?.(page);
  await page.goto(site.url + path);
  await atLeisure(page);
  return page;
}

/** Waits until something is true, as long as a busy machine may need. */
export async function until(holds, what = String(holds)) {
  for (let waited = 0; !(await holds()); waited += 20) {
    assert.ok(waited < 20_000, `not in time: ${what}`);
    await pause(20);
  }
}

/** What came, once as much came as was expected, and no more. */
export async function received(count) {
  for (let waited = 0; site.messages.length < count && waited < 20_000; waited += 20) await pause(20);
  await pause(QUIET_MS);
  assert.equal(site.messages.length, count, JSON.stringify(site.messages.map((message) => message.body)));
  return site.messages.map((message) => message.body);
}

/** The kinds of all events that came so far. */
export const kinds = () => site.messages.flatMap(({ body }) => (body.e ?? []).map((event) => event.k));

export const held = (page) => page.evaluate(() => fpw.held());
