// Whether vendors' own tags ran: said once a page, beside an event of who agreed, and not before a tag has had its time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, received, site, until } from "./visit.mjs";

/** A clock that the test can put on. */
const CLOCK = "window.later = 0; const now = Date.now; Date.now = () => now() + later;";
/** The vendors' stubs as their snippets leave them: called, and nobody there yet. */
const STUBS = `window.dataLayer = [["js", new Date()]]; window._paq = [["trackPageView"]]; window.fbq = function () { fbq.queue.push(arguments); }; fbq.push = fbq; fbq.loaded = true; fbq.queue = [];
  window.mixpanel = Object.assign([], { __SV: 1.2 }); window.plausible = function () { (plausible.q = plausible.q || []).push(arguments); }; plausible.init = () => {};
  window.posthog = Object.assign([], { __SV: 1 }); window.analytics = Object.assign([], { invoked: true });`;
const ALL = ["gtag", "matomo", "meta", "mixpanel", "plausible", "posthog", "segment", "umami"];
const measuring = (vendors, stub = "", parts = "recovery") => open(`/page?parts=${parts}&measured=${vendors}&stub=${encodeURIComponent(CLOCK + stub)}`);
const said = () => site.messages.map(({ body }) => body.u).filter((aside) => aside);
const told = (page, name) => page.evaluate((name) => fpw.event(name), name);
const arrived = (name) => until(() => site.messages.some(({ body }) => body.e?.some(({ k }) => k === name)), name);

test("a stub is no tag that ran; what the vendor's own script leaves is", async () => {
  const page = await measuring(ALL, STUBS);
  await page.evaluate(() => fpw.consent(["analytics"]));
  await told(page, "first");
  await arrived("first");
  await page.evaluate(() => { later = 6000; });
  await told(page, "second");
  await arrived("second");
  assert.deepEqual(said(), [Object.fromEntries(ALL.map((vendor) => [`ran.${vendor}`, 0]))]);
  await told(page, "third");
  await arrived("third");
  assert.equal(said().length, 1, "once a page");
  assert.deepEqual(page.errors, []);

  site.messages.length = 0;
  await page.evaluate(() => sessionStorage.clear());
  const ran = `window.google_tag_manager = {}; window.Matomo = {}; fbq.callMethod = () => {}; mixpanel.__loaded = true; plausible.l = true; posthog.__loaded = true; analytics.initialized = true; window.umami = { track() {} };`;
  const other = await measuring(ALL, STUBS + ran);
  await other.evaluate(() => fpw.consent(["analytics"]));
  await told(other, "fourth");
  await arrived("fourth");
  await other.evaluate(() => { later = 6000; });
  await told(other, "fifth");
  await arrived("fifth");
  assert.deepEqual(said(), [Object.fromEntries(ALL.map((vendor) => [`ran.${vendor}`, 1]))]);
});

test("nothing is said without a yes, nor before page and yes are five seconds old", async () => {
  const page = await measuring("gtag,umami");
  await page.evaluate(() => { later = 60_000; });
  await told(page, "unknown");
  await arrived("unknown");
  await page.evaluate(() => fpw.consent(["analytics"]));
  await told(page, "agreed");
  await arrived("agreed");
  await page.evaluate(() => { later += 4000; });
  await told(page, "early");
  await arrived("early");
  assert.deepEqual(said(), []);
  await page.evaluate(() => { later += 2000; google_tag_manager = {}; });
  await told(page, "late");
  await arrived("late");
  assert.deepEqual(said(), [{ "ran.gtag": 1, "ran.umami": 0 }]);
});

test("it stands beside what shims say of calls that they do not cover", async () => {
  const page = await measuring("gtag", "", "meta,recovery");
  await page.evaluate(() => { fpw.consent(["analytics"]); fbq("trackShopify"); });
  await told(page, "one");
  await arrived("one");
  await page.evaluate(() => { later = 6000; });
  await told(page, "two");
  await arrived("two");
  const all = Object.assign({}, ...said());
  assert.equal(all["ran.gtag"], 0);
  assert.ok(Object.keys(all).some((name) => name.startsWith("meta.")), JSON.stringify(all));
});
