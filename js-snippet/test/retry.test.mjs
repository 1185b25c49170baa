// A send that fails: what is tried again, when, and where it waits meanwhile.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { kinds, open, QUIET_MS, received, site, until } from "./visit.mjs";

const agreed = (options) => `?stub=${encodeURIComponent(`(window.fpw=window.fpw||[]).push(["consent",["analytics"],3600,${JSON.stringify(options ?? {})}])`)}`;
const STORING = agreed({ storage: true });
const stored = (page) => page.evaluate(() => JSON.parse(localStorage.getItem("fpw-q")));

test("an event that was not taken comes again under its own id, not before the server asked for it", async () => {
  site.answer = (_message, reply) => reply(site.messages.length === 1 ? 503 : 204, { "retry-after": "3" });
  const page = await open(`/page${agreed()}`);
  const start = Date.now();
  await received(1);
  await page.evaluate(() => fpw.event("meanwhile"));
  const [first, second] = await received(2);
  assert.ok(Date.now() - start >= 3000, "Retry-After is longer than our own pause");
  assert.deepEqual(second.e.map((event) => event.k), ["page_view", "meanwhile"], "what happened meanwhile waited too");
  assert.deepEqual(second.e[0], first.e[0]);
  assert.deepEqual(second.g, ["analytics"]);
  assert.equal(await stored(page), null, "nothing in the browser's storage without consent to that");
});

test("a pause that is longer than a browser's timer can be is a long one", async () => {
  site.answer = (_message, reply) => reply(503, { "retry-after": "9999999" });
  await open(`/page${agreed()}`);
  await pause(1000);
  await received(1);
});

test("without an answer, the network's return tries again at once", async () => {
  const page = await open(`/page${agreed()}`);
  await received(1);
  // By the protocol's own call: what puppeteer makes of it, Chromium 148 does not understand.
  const network = await page.createCDPSession();
  const offline = (offline) =>
    network.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await offline(true);
  await page.evaluate(() => fpw.event("under way"));
  // The first try and, after 2 s, the second find no network; the third would come 4 s later.
  await pause(2500);
  assert.equal(site.messages.length, 1);
  await offline(false);
  const start = Date.now();
  assert.equal((await received(2))[1].e[0].k, "under way");
  assert.ok(Date.now() - start < 3000, "sooner than by the pause");
});

test("what the server will never take is not tried again", async () => {
  site.answer = (_message, reply) => reply(400);
  await open(`/page${agreed()}`);
  await pause(3000);
  await received(1);
});

test("before the choice: tried again as not chosen, and not after a no", async () => {
  site.answer = (_message, reply) => reply(site.messages.length === 1 ? 503 : 204);
  const page = await open("/page");
  const [first, second] = await received(2);
  assert.deepEqual(second.e, first.e);
  assert.equal(second.g, undefined);
  site.answer = (_message, reply) => reply(503);
  await page.evaluate(() => fpw.event("own"));
  await received(3);
  site.answer = (_message, reply) => reply(204);
  await page.evaluate(() => fpw.consent([]));
  await pause(3500);
  const bodies = await received(4);
  assert.deepEqual([bodies[3].g, bodies[3].e], [[], undefined]);
});

test("a no that was not taken is said again", async () => {
  site.answer = (message, reply) => reply(message.body.g ? 503 : 204);
  const page = await open("/page");
  await received(1);
  await page.evaluate(() => fpw.consent([]));
  await received(2);
  site.answer = (_message, reply) => reply(204);
  assert.deepEqual((await received(3))[2].g, []);
});

test("with consent to storage, unsent events wait there for another page; the taken ones are removed", async () => {
  const page = await open(`/page${STORING}`);
  await received(1);
  assert.equal(await stored(page), null, "nothing waits, nothing is stored");
  site.answer = (_message, reply) => reply(503);
  await page.evaluate(() => { for (let n = 0; n < 60; n += 1) fpw.event("own"); });
  await until(() => kinds().length >= 61);
  await page.evaluate(() => fpw.event("own"));
  await until(async () => (await stored(page))?.length === 50, "bounded");
  site.answer = (_message, reply) => reply(204);
  site.messages.length = 0;
  await page.goto(`${site.url}/page/two${STORING}`);
  // The page that was left makes a last attempt too, so an event may come twice: under one id, which the collector counts once.
  const own = () => new Set(site.messages.flatMap(({ body }) => body.e).filter((event) => event.k === "own").map((event) => event.i));
  await until(() => own().size >= 50);
  await pause(QUIET_MS);
  assert.equal(own().size, 50);
  await until(async () => (await stored(page)) === null);
});

test("what waits in storage for more than a day is forgotten, and what is no event of ours breaks nothing", async () => {
  const page = await open(`/page${agreed()}`);
  await received(1);
  for (const text of [JSON.stringify([{ k: "old", i: "a", t: Date.now() - 25 * 3600_000 }, { k: "new", i: "b", t: Date.now() }, null, 7]), "{", "7", '"x"', "null"]) {
    site.messages.length = 0;
    await page.evaluate((text) => localStorage.setItem("fpw-q", text), text);
    await page.goto(`${site.url}/page${STORING}`);
    const expected = text.startsWith("[") ? ["new", "page_view"] : ["page_view"];
    await until(() => kinds().length >= expected.length);
    await pause(QUIET_MS);
    assert.deepEqual(kinds().sort(), expected, text);
  }
  assert.deepEqual(page.errors, []);
});

for (const [name, withdraw] of [
  ["a no", () => fpw.consent([])],
  ["an opt-out", () => fpw.optOut()],
  ["a yes without storage", () => fpw.consent(["analytics"], 3600)],
]) {
  test(`${name} empties the storage`, async () => {
    const page = await open(`/page${STORING}`);
    await received(1);
    site.answer = (_message, reply) => reply(503);
    await page.evaluate(() => fpw.event("own"));
    await received(2);
    await until(async () => (await stored(page))?.length === 1);
    await page.evaluate(withdraw);
    assert.equal(await stored(page), null);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
  });
}

test("a page that closes during a pause makes one last attempt", async () => {
  site.answer = (_message, reply) => reply(site.messages.length === 1 ? 503 : 204, { "retry-after": "60" });
  const page = await open(`/page${agreed()}`);
  await received(1);
  await page.goto("about:blank");
  const [first, second] = await received(2);
  assert.deepEqual(second.e, first.e);
});
