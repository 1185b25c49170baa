// What a page can say, and what the snippet sees by itself: purchases, who is visiting, links, and pages that are left and come back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { held, kinds, open, QUIET_MS, received, site, until } from "./visit.mjs";

const AGREED = `?stub=${encodeURIComponent('(window.fpw=window.fpw||[]).push(["consent",["analytics"]])')}`;
const last = async (count) => (await received(count)).at(-1);

test("a purchase in GA4's words arrives in the collector's", async () => {
  const page = await open(`/page${AGREED}`);
  await page.evaluate(() =>
    fpw.event("purchase", {
      transaction_id: 1007, value: 62.5, currency: "EUR", tax: "9.98", shipping: 4, coupon: "AUTUMN", gift: true, odd: { a: 1 }, constructor: "c",
      items: [{ item_id: 12, item_name: "Jug", item_brand: "L&K", item_category: "Table", item_variant: "blue", price: 38, quantity: 1, index: 3 }, null, { item_id: "13", price: NaN, quantity: "" }, { price: true, quantity: " " }, { price: "Infinity", quantity: "2" }],
    }),
  );
  const { k, v, m, x, tx, sh, cp, y, d } = (await last(2)).e[0];
  assert.deepEqual(
    { k, v, m, x, tx, sh, cp, d },
    { k: "purchase", v: 62.5, m: "EUR", x: "1007", tx: 9.98, sh: 4, cp: "AUTUMN", d: { gift: true, constructor: "c" } },
  );
  assert.deepEqual(y, [{ id: "12", name: "Jug", brand: "L&K", category: "Table", variant: "blue", price: 38, quantity: 1 }, {}, { id: "13" }, {}, { quantity: 2 }]);
});

test("who is visiting goes with a yes alone, and with its signature where there is one", async () => {
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => { fpw.identify("u7", "c2lnbmF0dXJl", 1900000000); fpw.event("login"); });
  const unknown = await last(2);
  assert.deepEqual([unknown.e[0].a, unknown.e[0].as, unknown.e[0].ae], [undefined, undefined, undefined]);
  await page.evaluate(() => fpw.consent(["analytics"]));
  const copy = (await last(3)).e[1];
  assert.deepEqual([copy.k, copy.a, copy.as, copy.ae], ["login", "u7", "c2lnbmF0dXJl", 1900000000]);
  await page.evaluate(() => fpw.event("own", { user_id: "u8" }));
  const other = (await last(4)).e[0];
  assert.deepEqual([other.a, other.as, other.ae], ["u8", undefined, undefined], "a signature is of one id");
  await page.evaluate(() => { fpw.identify("u9"); fpw.event("own"); });
  const claimed = (await last(5)).e[0];
  assert.deepEqual([claimed.a, claimed.as], ["u9", undefined]);
  await page.evaluate(() => { fpw.identify(); fpw.event("own"); });
  assert.equal((await last(6)).e[0].a, undefined);
});

test("links: another host is a click, a file is a download, and of either its host alone", async () => {
  const page = await open(`/page/links${AGREED}`);
  const click = (id, options) => page.click(`#${id}`, options);
  await received(1);
  for (const id of ["same", "mail", "button"]) await click(id);
  await received(1);
  // One after the other: each is a request of its own, and two at once may arrive in either order.
  for (const [index, [id, options]] of [["out"], ["inside-out"], ["out", { button: "middle" }], ["file"], ["download"]].entries()) {
    await click(id, options);
    await received(index + 2);
  }
  await click("out", { button: "right" });
  await received(6);
  await page.evaluate(() => {
    const icon = document.createElement("span");
    icon.attachShadow({ mode: "open" }).innerHTML = "<i>out</i>";
    document.querySelector("#out").replaceChildren(icon);
  });
  await click("out");
  await received(7);
  const said = site.messages.slice(1).map(({ body }) => [body.e[0].k, body.e[0].d]);
  const out = ["click", { link_domain: "other.example", outbound: true }];
  const here = new URL(site.url).hostname;
  assert.deepEqual(said, [out, out, out, ["file_download", { link_domain: "other.example", file_extension: "pdf" }], ["file_download", { link_domain: here }], out]);
  assert.ok(!JSON.stringify(said).includes("jane"), "no path, no query");
});

test("a link that leaves the page: the click arrives", async () => {
  const page = await open(`/page/links${AGREED}`);
  await received(1);
  site.answer = (_message, reply) => setTimeout(() => reply(204), 300);
  await page.click("#leaving");
  await page.waitForFunction(() => location.hostname === "localhost");
  await until(() => kinds().includes("click"));
});

test("time in sight is sent when the page is hidden, once, and again after it was shown again", async () => {
  // What the page can have been in sight for at most: from here to the moment it is hidden.
  let seen = Date.now();
  const page = await open(`/page${AGREED}`);
  await received(1);
  const hide = (state) => page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
  await pause(1200);
  await hide("hidden");
  let most = Date.now() - seen;
  const engagement = (await last(2)).e[0];
  assert.equal(engagement.k, "user_engagement");
  assert.ok(engagement.d.engagement_ms >= 1200 && engagement.d.engagement_ms < most, JSON.stringify(engagement.d));
  await pause(1200);
  await hide("hidden");
  seen = Date.now();
  await hide("visible");
  await hide("hidden");
  await received(2); // nothing while hidden, and a glimpse is not sent by itself: it counts with what follows
  await hide("visible");
  await pause(1100);
  await page.goto("about:blank");
  most = Date.now() - seen;
  const second = (await last(3)).e[0];
  assert.equal(second.k, "user_engagement");
  assert.ok(second.d.engagement_ms >= 1100 && second.d.engagement_ms <= most, `the time hidden before does not count: ${second.d.engagement_ms} of ${most}`);
});

// Firefox ends the first listener of a tab that closes where it loops or calls JSON.stringify, and the listener does not notice. An error in a
// function that it calls there has the same consequence in any browser: the listener goes no further.
test("a listener that is cut off while the tab closes loses nothing and sends nothing twice", async () => {
  const page = await open(`/page${AGREED}`, () => { const now = performance.now.bind(performance); performance.now = () => now() * 1000; });
  await received(1);
  site.answer = (_message, reply) => reply(site.messages.length === 2 ? 503 : 204, { "retry-after": "60" });
  await page.evaluate(() => fpw.event("unsent"));
  await received(2);
  await page.evaluate(() => {
    const { entries } = Object;
    Object.entries = () => { Object.entries = entries; throw new Error("cut off"); };
  });
  await page.close();
  const later = (await received(3))[2].e.map(({ k }) => k);
  assert.deepEqual(later.sort(), ["unsent", "user_engagement"]);
});

test("what waits for the first answer is not lost when the listener of the page's end is cut off", async () => {
  site.answer = () => {};
  const page = await open(`/page${AGREED}`);
  await page.evaluate(() => fpw.event("waiting"));
  await received(1);
  await page.evaluate(() => {
    const { stringify } = JSON;
    JSON.stringify = () => { JSON.stringify = stringify; throw new Error("cut off"); };
  });
  await page.close();
  assert.deepEqual((await received(2))[1].e.map(({ k }) => k), ["waiting"]);
});

test("a route that is left has its own time and title", async () => {
  const page = await open(`/page${AGREED}`);
  await received(1);
  await pause(1100);
  await page.evaluate(() => { history.pushState({}, "", "/page/two"); document.title = "Two"; });
  const [left, came] = (await received(2))[1].e;
  assert.deepEqual([left.k, left.p, left.n], ["user_engagement", site.url + "/page" + AGREED, "A page"]);
  assert.deepEqual([came.k, came.n], ["page_view", "Two"]);
});

test("the landing page's campaign is kept when the yes comes on another route", async () => {
  const page = await open("/page?consent-only&utm_source=newsletter&utm_campaign=autumn");
  await page.evaluate(() => history.pushState({}, "", "/page/two"));
  await pause(QUIET_MS);
  await received(0);
  await page.evaluate(() => fpw.consent(["analytics"]));
  const { e } = await last(1);
  assert.deepEqual(e.map((event) => [event.k, new URL(event.p).search, event.h]), [
    ["page_view", "?consent-only&utm_source=newsletter&utm_campaign=autumn", 1],
    ["page_view", "", 1],
  ]);
});

test("a page that comes back from the back/forward cache is viewed again, and the choice is asked of the site again", async () => {
  const page = await open("/page");
  await page.evaluate(() => { window.kept = true; fpw.consent(["analytics"]); });
  await received(2);
  await page.goto(`${site.url}/page/two`);
  await received(3);
  await page.goBack();
  assert.equal(await page.evaluate(() => window.kept), true, "it came from the cache");
  const [, , , back] = await received(4);
  assert.deepEqual([back.e[0].k, back.e[0].p, back.e[0].r, back.g], ["page_view", `${site.url}/page`, `${site.url}/page`, undefined]);
  await page.evaluate(() => fpw.consent(["analytics"]));
  const again = await last(5);
  assert.deepEqual([again.g, again.e.length, again.e[0].h], [["analytics"], 1, 1]);
});

test("a no outlasts the back/forward cache", async () => {
  const page = await open("/page");
  await page.evaluate(() => { window.kept = true; fpw.consent([]); });
  await received(2);
  await page.goto(`${site.url}/page/two`);
  await received(3);
  await page.goBack();
  assert.equal(await page.evaluate(() => window.kept), true);
  await page.evaluate(() => fpw.event("own"));
  await received(3);
});

test("a page opened in advance is viewed when someone looks at it, with what was called before", async () => {
  const page = await open(`/page${AGREED}`, () => {
    window.ahead = true;
    Object.defineProperty(Document.prototype, "prerendering", { get: () => window.ahead });
  });
  await received(0);
  await page.evaluate(() => { fpw.push(["event", "own"]); window.ahead = false; document.dispatchEvent(new Event("prerenderingchange")); });
  const [{ e, g }] = await received(1);
  assert.deepEqual([e.map(({ k }) => k), g], [["page_view", "own"], ["analytics"]]);
  assert.equal(await held(page), 0);
});

test("a page that is left before it had a moment to spare loses nothing: what was called, the view, the click that leaves", async () => {
  const page = await open(`/page/links${AGREED}`, () => { window.requestIdleCallback = () => {}; });
  await page.evaluate(() => { fpw.event("own"); document.querySelector("#out").click(); });
  assert.deepEqual(kinds(), [], "nothing has begun to leave");
  await page.goto("about:blank");
  await until(() => kinds().length >= 3);
  const [{ e, g }] = await received(1);
  assert.deepEqual([e.map(({ k }) => k).sort(), g], [["click", "own", "page_view"], ["analytics"]]);
});

test("of a hidden page nothing waits: what the page's own listeners say after ours leaves at once", async () => {
  const page = await open(`/page${AGREED}`);
  await received(1);
  await page.evaluate(() => {
    window.requestIdleCallback = () => {};
    document.addEventListener("visibilitychange", () => fpw.event("own"));
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  assert.deepEqual((await last(2)).e.map(({ k }) => k), ["own"]);
});

test("what is large goes in messages that a browser still sends at the page's end, the first with a yes alone", async () => {
  let release;
  site.answer = (_message, reply) => (release ? reply(204) : (release = () => reply(204)));
  const page = await open("/page?consent-only");
  const items = Array.from({ length: 100 }, (_, at) => ({ item_id: `cup-${at}`, item_name: "A cup of stoneware", price: 12.5, quantity: 1 }));
  await page.evaluate((items) => { for (let n = 0; n < 8; n += 1) fpw.event("view_item_list", { items }); fpw.consent(["analytics"]); }, items);
  await received(1);
  release();
  await until(() => kinds().length === 9);
  assert.ok(site.messages.every(({ body }) => body.e.length === 1 || JSON.stringify(body).length <= 20_000), JSON.stringify(site.messages.map(({ body }) => body.e.length)));
  assert.equal(new Set(site.messages.flatMap(({ body }) => body.e.map(({ i }) => i))).size, 9);
});

test("a route that is pushed before the page had a moment to spare is not the first one", async () => {
  await open(`/page?stub=${encodeURIComponent('(window.fpw=window.fpw||[]).push(["consent",["analytics"]]); addEventListener("DOMContentLoaded", () => history.pushState({}, "", "/page/two"))')}`, () => { window.requestIdleCallback = setTimeout; });
  await until(() => kinds().length >= 2);
  await pause(QUIET_MS);
  assert.deepEqual(site.messages.flatMap(({ body }) => body.e.map(({ k, p }) => [k, new URL(p).pathname])), [["page_view", "/page"], ["page_view", "/page/two"]]);
});
