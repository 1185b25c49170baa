// The snippet in a real Chromium, against a collector that counts: what leaves the page in each state of the visitor's choice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { held, kinds, open, QUIET_MS, received, site, until } from "./visit.mjs";

test("before the choice: the event goes at once as not chosen, and a copy stays", async () => {
  const page = await open("/page");
  const [body] = await received(1);
  const [{ method, url, headers }] = site.messages;
  assert.equal(method, "POST");
  assert.equal(url, "/q/e", "nothing travels in the query string");
  assert.match(headers["content-type"], /^text\/plain/);
  assert.deepEqual(Object.keys(body).sort(), ["e", "s"], "no g: not chosen yet");
  const [event] = body.e;
  assert.deepEqual(Object.keys(event).sort(), ["i", "k", "l", "n", "p", "r", "t", "w"]);
  assert.match(event.i, /^\d+(-\d+){3}$/);
  assert.equal(event.k, "page_view");
  assert.equal(event.p, `${site.url}/page`);
  assert.equal(event.n, "A page");
  assert.ok(Math.abs(event.t - Date.now()) < 60_000 && body.s >= event.t);
  assert.equal(await held(page), 1);
});

test("a yes sends the copies in one message, under other ids, with their own times; later events carry the yes", async () => {
  const page = await open("/page");
  await page.evaluate(() => fpw.event("sign_up", { plan: "small", value: 12.5, currency: "EUR", transaction_id: "T1", nested: {}, odd: NaN }));
  const before = await received(2);
  await page.evaluate(() => fpw.consent(["analytics", "ads"], 3600));
  const granted = (await received(3))[2];
  assert.deepEqual(granted.g, ["analytics", "ads"]);
  assert.ok(granted.gx > 3590 && granted.gx <= 3600);
  assert.deepEqual(granted.e.map((event) => event.k), ["page_view", "sign_up"]);
  for (const [index, copy] of granted.e.entries()) {
    const { i: firstId, ...first } = before[index].e[0];
    const { i: copyId, h, ...rest } = copy;
    assert.notEqual(copyId, firstId);
    assert.equal(h, 1);
    assert.deepEqual(rest, first, "the same event but for its id and its mark");
  }
  const { d, v, m, x } = granted.e[1];
  assert.deepEqual({ d, v, m, x }, { d: { plan: "small" }, v: 12.5, m: "EUR", x: "T1" });
  assert.equal(await held(page), 0);
  await page.evaluate(() => fpw.page());
  const later = (await received(4))[3];
  assert.deepEqual(later.g, ["analytics", "ads"]);
  assert.equal(later.e.length, 1);
  assert.equal(later.e[0].h, undefined);
});

test("a no forgets the copies, says so once without an event, and nothing follows", async () => {
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => { fpw.consent([]); fpw.consent([]); fpw.page(); fpw.event("own"); });
  const { s, ...objection } = (await received(2))[1];
  assert.deepEqual(objection, { g: [] });
  assert.equal(await held(page), 0);
});

test("a yes taken back: one objection, nothing more", async () => {
  const page = await open("/page");
  await page.evaluate(() => fpw.consent(["analytics"]));
  await received(2);
  await page.evaluate(() => { fpw.consent([]); fpw.event("own"); });
  assert.deepEqual((await received(3))[2].g, []);
});

test("without an exempt destination nothing leaves before the choice, and a yes sends what was held", async () => {
  const page = await open("/page?consent-only");
  await received(0);
  assert.equal(await held(page), 1);
  await page.evaluate(() => fpw.consent(["analytics"]));
  const [body] = await received(1);
  assert.deepEqual(body.g, ["analytics"]);
  assert.equal(body.e[0].h, 1);
});

test("a choice queued before the script has loaded comes before the page view, own events after it", async () => {
  const stub = `(window.fpw=window.fpw||[]).push(["event","own"],["consent",["analytics"]])`;
  const page = await open(`/page?stub=${encodeURIComponent(stub)}`);
  const [{ e, g }] = await received(1);
  assert.deepEqual(e.map((event) => [event.k, event.h]), [["page_view", undefined], ["own", undefined]], "what happened in one moment goes in one message");
  assert.deepEqual(g, ["analytics"]);
  assert.equal(await held(page), 0);
});

test("a no queued before the script has loaded: only the objection", async () => {
  const stub = `(window.fpw=window.fpw||[]).push(["consent",[]])`;
  await open(`/page?stub=${encodeURIComponent(stub)}`);
  const [body] = await received(1);
  assert.deepEqual(Object.keys(body).sort(), ["g", "s"]);
});

test("later granted events wait for the first granted answer, so that one cookie is set", async () => {
  let release;
  site.answer = (message, reply) => (message.body.g && !release ? (release = () => reply(204)) : reply(204));
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => fpw.consent(["analytics"]));
  await received(2);
  await page.evaluate(() => { fpw.event("one"); fpw.event("two"); });
  await received(2);
  release();
  const last = (await received(3))[2];
  assert.deepEqual(last.e.map((event) => event.k), ["one", "two"]);
});

test("only the granted answer ends the waiting, not that to an event from before the choice", async () => {
  const answers = [];
  site.answer = (_message, reply) => answers.push(() => reply(204));
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => fpw.consent(["analytics"]));
  await received(2);
  await page.evaluate(() => fpw.event("one"));
  const [[before], [granted]] = [false, true].map((yes) => answers.filter((_answer, index) => !!site.messages[index].body.g === yes));
  before();
  await received(2);
  granted();
  assert.deepEqual((await received(3))[2].e.map((event) => event.k), ["one"]);
});

test("a no while a granted message is under way is said again after its answer", async () => {
  let release;
  site.answer = (message, reply) => (message.body.g?.length ? (release = () => reply(204)) : reply(204));
  const page = await open("/page");
  await page.evaluate(() => { fpw.consent(["analytics"]); fpw.event("never sent"); });
  await received(2);
  await page.evaluate(() => fpw.consent([]));
  await received(3);
  release();
  const bodies = await received(4);
  assert.deepEqual(bodies.slice(2).map((body) => [body.g, body.e]), [[[], undefined], [[], undefined]]);
});

test("under Global Privacy Control no event leaves, whatever the page says", async () => {
  const page = await open("/page", () => Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true }));
  await page.evaluate(() => { fpw.consent(["analytics"]); fpw.event("own"); fpw.optIn(); fpw.page(); });
  const bodies = (await received(2)).map(({ s, ...rest }) => rest);
  assert.deepEqual(bodies, [{ g: [] }, { o: 0 }]);
  assert.equal(await held(page), 0);
});

test("under Do Not Track no event leaves", async () => {
  await open("/page", () => Object.defineProperty(Navigator.prototype, "doNotTrack", { get: () => "1" }));
  const [body] = await received(1);
  assert.deepEqual(Object.keys(body).sort(), ["g", "s"]);
});

test("an opt-out outlasts a yes until it is taken back, which grants nothing", async () => {
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => { fpw.optOut(); fpw.event("own"); });
  const objection = (await received(2))[1];
  assert.equal(objection.o, 1);
  assert.equal(objection.e, undefined);
  assert.equal(await held(page), 0);
  await page.evaluate(() => fpw.optIn());
  assert.equal((await received(3))[2].o, 0);
  await page.evaluate(() => fpw.page());
  const after = (await received(4))[3];
  assert.equal(after.g, undefined, "not chosen again, not granted");
});

test("a consent that has ended is no consent", async () => {
  const page = await open("/page");
  await page.evaluate(() => fpw.consent(["analytics"], 1));
  await received(2);
  await pause(1000);
  await page.evaluate(() => fpw.page());
  assert.equal((await received(3))[2].g, undefined);
});

test("copies are few and grow old", async () => {
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => { for (let n = 0; n < 120; n += 1) fpw.event("own"); });
  assert.equal(await held(page), 20);
  await until(() => kinds().length === 121, "all of them, in as many messages as the server takes");
  assert.ok(site.messages.every(({ body }) => body.e.length <= 50) && site.messages.length < 8, JSON.stringify(site.messages.map(({ body }) => body.e.length)));
  await page.evaluate(() => { const later = Date.now() + 31 * 60_000; Date.now = () => later; });
  assert.equal(await held(page), 0);
});

test("a single-page move is a page view that came from the page before; an anchor or a replaced state is none", async () => {
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => { history.pushState({}, "", "/page/two"); document.title = "Two"; });
  const second = (await received(2))[1].e[0];
  assert.deepEqual([second.p, second.r, second.n], [`${site.url}/page/two`, `${site.url}/page`, "Two"]);
  await page.evaluate(() => { history.replaceState({}, "", "/page/two#part"); location.hash = "other"; });
  await received(2);
  await page.evaluate(() => history.go(-2));
  assert.equal((await received(3))[2].e[0].p, `${site.url}/page`);
});

test("without consent to storage it reads no cookie and no storage and writes none; it may only empty its own place there", async () => {
  const page = await open("/page", () => {
    window.touched = [];
    for (const name of ["sessionStorage", "indexedDB", "caches"]) {
      Object.defineProperty(window, name, { get: () => { touched.push(name); throw new Error(name); } });
    }
    for (const name of ["getItem", "setItem", "key", "clear"]) Storage.prototype[name] = () => { touched.push(name); throw new Error(name); };
    const note = () => { touched.push("cookie"); return ""; };
    Object.defineProperty(Document.prototype, "cookie", { get: note, set: note });
  });
  site.answer = (_message, reply) => reply(503);
  await page.evaluate(() => { fpw.consent(["analytics"]); fpw.event("own"); });
  await pause(QUIET_MS);
  await page.evaluate(() => { fpw.consent([]); fpw.optOut(); fpw.optIn(); });
  await pause(QUIET_MS);
  assert.deepEqual(await page.evaluate(() => touched), []);
});

test("where fetch throws, the beacon goes by sendBeacon; where all fails, the page does not notice", async () => {
  const page = await open("/page", () => { window.fetch = () => { throw new TypeError("blocked"); }; });
  await received(1);
  await page.evaluate(() => { Navigator.prototype.sendBeacon = undefined; fpw.consent(["analytics"]); fpw.page(); });
  await page.evaluate(() => { crypto.getRandomValues = () => { throw new Error("no"); }; fpw.page(); fpw.push(["nothing"], ["consent"]); });
  await page.evaluate(() => { window.fetch = () => Promise.resolve(); fpw.push(undefined, 7, ["page"]); });
  await page.evaluate(() => { const circle = {}; circle.circle = circle; fpw.consent([circle]); fpw.event(undefined, circle); fpw.event("own", null); });
  await pause(QUIET_MS);
  assert.deepEqual(page.errors, []);
});

test("what is no call is passed over, before loading and after", async () => {
  const page = await open(`/page?stub=${encodeURIComponent('window.fpw = [null, 7, "page", ["event", "early"]]')}`);
  await page.evaluate(() => fpw.push(null, ["event", "late"], {}));
  await until(() => kinds().length === 3);
  assert.deepEqual(kinds().sort(), ["early", "late", "page_view"]);
  assert.deepEqual(page.errors, []);
});

test("twice on one page, it counts once", async () => {
  const page = await open("/page");
  await page.addScriptTag({ url: "/q/core.exempt.js" });
  await received(1);
});
