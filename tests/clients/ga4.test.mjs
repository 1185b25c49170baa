// @minimal-analytics/ga4, unmodified from npm and configured as its documentation says: it speaks as Google's tag does, and is pointed at the
// shop's own path by its option `analyticsEndpoint`.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { arrivals, closeShop, ELSEWHERE, HEADLESS, MEASUREMENT_ID, names, openShop, refused, requests, SHOP, SHOP_ON_A_PORT, shop, until, visit } from "./shop.mjs";

const ORDER = {
  "epn.value": 25, "ep.currency": "EUR", "ep.transaction_id": "A-1001", "epn.tax": 2.5, "epn.shipping": 3.9, "ep.coupon": "SPRING",
  "ep.gift": true, "ep.plan": "gold", "ep.email": "jane@example.org", pr1: "idcup-1~nmCup~brKiln~caTableware~vablue~pr12.5~qt2", uid: "jane-1",
};
/** What Google's consent mode says after a yes to analytics alone, and after a no. */
const YES = "G101";
const NO = "G100";
/** Long enough for a request that should not come. */
const QUIET_MS = 1500;

before(openShop);
after(closeShop);
let visitor;
afterEach(async () => {
  await visitor?.leave();
  visitor = undefined;
});

const endpoint = () => `${shop.prefix}/g/collect`;
/**
 * The library's own build, tracking by itself from the start, as its documentation says for pages without a build. The library asks for
 * its address at each event, and puts a question mark and its parameters behind it; what is said here goes with all of them.
 */
const ownBuild = (said = "") => `<script>window.minimalAnalytics = { trackingId: "${MEASUREMENT_ID}", autoTrack: true, defineGlobal: true, analyticsEndpoint: "${endpoint()}${said}" };</script><script defer src="/assets/ga4-own-build.js"></script>`;
/** A consent signal in that place: \`v\` comes first, and the last parameter swallows the question mark. */
const saying = (gcs) => `?v=2&gcs=${gcs}&_z=`;
/** The library in a bundle of the shop's. */
const bundle = (id = MEASUREMENT_ID, where = endpoint()) => `<script>window.minimalAnalytics = { trackingId: "${id}", analyticsEndpoint: "${where}" };</script><script src="/assets/ga4.js"></script><script>library.track();</script>`;

const answered = (count) => until(`${count} answers`, () => requests("/g/collect").filter(({ status }) => status).length >= count);
const track = (page, type, event) => page.evaluate((type, event) => (window.track ?? library.track)({ type, event }), type, event);

function nothingElse({ foreign, errors }) {
  assert.deepEqual(foreign(), [], "hosts that are not the shop's");
  assert.deepEqual(errors, []);
}

test("before the choice, measurement gets no more than a visit, on a port of its own, too", async () => {
  visitor = await visit(bundle(), `${SHOP_ON_A_PORT}/orders/8412?utm_source=news&email=jane@example.org`);
  await answered(1);
  await track(visitor.page, "purchase", ORDER);
  await answered(2);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([names(measurement), names(customers)], [["page_view", "purchase"], []]);
  for (const event of measurement) {
    assert.deepEqual(event.consent, { state: "unknown", purposes: [] });
    assert.deepEqual(event.page, { host: "www.acmeshop.com", path: "/orders/{n}" });
    for (const field of ["value", "currency", "order_id", "items", "campaign", "session_id"]) assert.ok(!(field in event), field);
  }
  assert.doesNotMatch(JSON.stringify(measurement), /jane|A-1001|Cup/);
  assert.deepEqual(shop.asked.map(({ method, host, path, status }) => `${method} ${host} ${path} ${status}`), Array(2).fill("POST www.acmeshop.com:8443 /g/collect 204"));
  nothingElse(visitor);
});

test("with a yes in an event, that event arrives, field by field", async () => {
  visitor = await visit(bundle(), `${SHOP}/orders/8412?utm_source=news&utm_campaign=autumn&email=jane@example.org`);
  await answered(1);
  await arrivals();
  await track(visitor.page, "purchase", { ...ORDER, gcs: YES });
  await answered(2);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([names(measurement), names(customers)], [["purchase"], ["purchase"]]);
  assert.doesNotMatch(JSON.stringify({ measurement, customers }), /jane|A-1001/);
  const { event_id: id, time, visitor_id: visitorId, session_id: sessionId, transaction_id: transaction, device, screen, ...rest } = customers[0];
  for (const text of [id, visitorId, sessionId, transaction]) assert.ok(text, JSON.stringify(customers[0]));
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 10 * 60_000, "its time");
  assert.deepEqual([device.browser, device.form], ["chrome", "desktop"]);
  assert.match(screen, /^[<≥]?\d+$/, "a class of widths");
  assert.deepEqual(rest, {
    name: "purchase",
    site: "site",
    page: { host: "www.acmeshop.com", path: "/orders/{n}" },
    campaign: { source: "news", name: "autumn" },
    value: 25, tax: 2.5, shipping: 3.9, currency: "EUR", coupon: "SPRING",
    items: [{ id: "cup-1", name: "Cup", brand: "Kiln", category: "Tableware", variant: "blue", price: 12.5, quantity: 2 }],
    properties: { gift: true, plan: "gold" },
    country: "ZZ",
    language: "en",
    bot: HEADLESS,
    consent: { state: "granted", purposes: ["analytics"] },
    policy_version: 1,
  });
  nothingElse(visitor);
});

test("with a yes in its address, what the library tracks by itself arrives, too, down to the end of the page", async () => {
  visitor = await visit(`${ownBuild(saying(YES))}<p style="height: 5000px"><a id="file" href="/assets/list.pdf">a file</a> <a id="out" href="${ELSEWHERE}/">another site</a></p>`);
  await answered(1);
  const stay = () => visitor.page.evaluate(() => { for (const link of document.links) link.addEventListener("click", (event) => event.preventDefault()); });
  await stay();
  await visitor.page.click("#file");
  await answered(2);
  await visitor.page.click("#out");
  await answered(3);
  await visitor.page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await answered(4);
  await track(visitor.page, "newsletter_opened", { "ep.plan": "gold" });
  await answered(5);
  await visitor.page.goto("about:blank");
  await answered(6);
  const { measurement, customers } = await arrivals();
  const expected = ["click", "file_download", "newsletter_opened", "page_view", "scroll", "user_engagement"];
  assert.deepEqual([names(customers), names(measurement)], [expected, expected]);
  assert.equal(new Set(customers.map(({ visitor_id: id }) => id)).size, 1, "one visitor");
  const properties = Object.fromEntries(customers.map((event) => [event.name, event.properties]));
  assert.deepEqual(properties, {
    page_view: undefined, newsletter_opened: { plan: "gold" }, user_engagement: undefined,
    click: { link_domain: "www.elsewhere.example", outbound: true },
    file_download: { file_extension: "pdf", outbound: false },
    scroll: { percent_scrolled: 90 },
  });
  assert.ok(requests("/g/collect").every(({ status }) => status === 204));
  nothingElse(visitor);
});

test("a page of search results is one, and the words that were looked for are not kept", async () => {
  visitor = await visit(ownBuild(saying(YES)), `${SHOP}/find?q=jane+doe`);
  await answered(1);
  const { customers } = await arrivals();
  assert.deepEqual(names(customers), ["view_search_results"]);
  assert.doesNotMatch(JSON.stringify(customers), /jane/);
  nothingElse(visitor);
});

test("after a no, nothing arrives, and each event is counted", async () => {
  const before = await refused("objected_refused");
  visitor = await visit(ownBuild(saying(NO)));
  await answered(1);
  await track(visitor.page, "purchase", ORDER);
  await answered(2);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([measurement, customers], [[], []]);
  assert.equal(await until("two counted refusals", async () => (await refused("objected_refused")) >= before + 2 && refused("objected_refused")), before + 2);
  nothingElse(visitor);
});

test("another measurement id is refused and counted, and the library is content", async () => {
  const before = await refused("unknown_key");
  visitor = await visit(bundle("G-OTHER00001"));
  await answered(1);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([measurement, customers], [[], []]);
  assert.equal(await until("a counted refusal", async () => (await refused("unknown_key")) > before && refused("unknown_key")), before + 1);
  await pause(QUIET_MS);
  assert.deepEqual(shop.asked.map(({ status }) => status), [204]);
  nothingElse(visitor);
});

test("somebody else's page is refused and counted", async () => {
  const before = await refused("foreign_origin");
  visitor = await visit(bundle(MEASUREMENT_ID, `${SHOP}${endpoint()}`), `${ELSEWHERE}/`);
  await answered(1);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([measurement, customers], [[], []]);
  assert.equal(await until("a counted refusal", async () => (await refused("foreign_origin")) > before && refused("foreign_origin")), before + 1);
  assert.deepEqual(shop.asked.map(({ status }) => status), [403]);
  assert.deepEqual(visitor.foreign(), ["www.acmeshop.com"], "the shop alone");
});

// Last, since a page may end with a word to its vendor.
test("left as it comes, the library asks its vendor, and the test sees that", async () => {
  visitor = await visit(`<script>window.minimalAnalytics = { trackingId: "${MEASUREMENT_ID}", autoTrack: true };</script><script defer src="/assets/ga4-own-build.js"></script>`);
  await until("a request to the vendor", () => visitor.foreign().includes("www.google-analytics.com"));
});
