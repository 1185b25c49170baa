// Segment's analytics.js, unmodified from npm and configured as its documentation says, on a page of a shop that routes a path to Firsthand.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { arrivals, closeShop, ELSEWHERE, HEADLESS, names, openShop, refused, requests, SHOP, SHOP_ON_A_PORT, shop, until, visit, WRITE_KEY } from "./shop.mjs";

const YES = { Analytics: true, Advertising: false };
const NO = { Analytics: false, Advertising: false };
const ORDER = {
  order_id: "A-1001", revenue: 25, tax: 2.5, shipping: "3.90", currency: "EUR", coupon: "SPRING", gift: true, plan: "gold", email: "jane@example.org",
  products: [{ product_id: "cup-1", name: "Cup", brand: "Kiln", category: "Tableware", variant: "blue", price: 12.5, quantity: 2 }],
};
/** Longer than the library's first waits between two attempts: time enough for an attempt that should not come. */
const QUIET_MS = 3000;

before(openShop);
after(closeShop);
let visitor;
afterEach(async () => {
  await visitor?.leave();
  visitor = undefined;
});

const SCRIPT = `<script src="/assets/segment.js"></script>`;
/** The load options of the documentation for a proxy of one's own; `more` stands beside them. */
const options = (more = "") => `{ integrations: { "Segment.io": { apiHost: location.host + "${shop.prefix}/v1", protocol: "https", ${more} } } }`;
const settings = () => `{ writeKey: "${WRITE_KEY}", cdnURL: location.origin + "${shop.prefix}" }`;
/** The library, told the choice by Segment's own consent wrapper. */
const consenting = (choice, more) => `${SCRIPT}<script>
  window.analytics = new library.AnalyticsBrowser();
  library.createWrapper({ getCategories: () => (${JSON.stringify(choice)}) })(analytics);
  analytics.load(${settings()}, ${options(more)});
</script>`;
const unasked = (more) => `${SCRIPT}<script>window.analytics = library.AnalyticsBrowser.load(${settings()}, ${options(more)});</script>`;

/** Nobody but the shop was asked, and neither the library nor the browser complained. */
function nothingElse({ foreign, errors }) {
  assert.deepEqual(foreign(), [], "hosts that are not the shop's");
  assert.deepEqual(errors, []);
}

/** Makes one call after the other, as a page does that is used by a person. */
const calls = (page, ...all) => page.evaluate(async (all) => { for (const [name, ...parameters] of all) await analytics[name](...parameters); }, all);

test("before the choice, and told the one address alone: on a port of its own, too, all goes to the shop, and measurement gets no more than a visit", async () => {
  visitor = await visit(`${SCRIPT}<script>window.analytics = library.AnalyticsBrowser.load(${settings()});</script>`, `${SHOP_ON_A_PORT}/orders/8412?utm_source=news&email=jane@example.org`);
  await calls(visitor.page, ["page"], ["track", "Order Completed", ORDER]);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([names(measurement), names(customers)], [["page_view", "purchase"], []]);
  for (const event of measurement) {
    assert.deepEqual(event.consent, { state: "unknown", purposes: [] });
    assert.deepEqual(event.page, { host: "www.acmeshop.com", path: "/orders/{n}" });
    for (const field of ["value", "currency", "order_id", "items", "campaign", "session_id"]) assert.ok(!(field in event), field);
  }
  assert.doesNotMatch(JSON.stringify(measurement), /jane|A-1001|Cup/);
  const hosts = new Set(shop.asked.map(({ host }) => host));
  assert.deepEqual([...hosts], ["www.acmeshop.com:8443"]);
  assert.deepEqual(shop.asked.map(({ method, path, status }) => `${method} ${path} ${status}`), [`GET /v1/projects/${WRITE_KEY}/settings 200`, "POST /v1/p 200", "POST /v1/t 200"]);
  nothingElse(visitor);
});

test("with a yes said by Segment's own consent wrapper, every call arrives, field by field", async () => {
  visitor = await visit(consenting(YES), `${SHOP}/orders/8412?utm_source=news&utm_campaign=autumn&email=jane@example.org`);
  await calls(
    visitor.page,
    ["page"],
    ["identify", "jane-1", { email: "jane@example.org", plan: "gold" }],
    ["track", "Order Completed", ORDER],
    ["track", "Product Added", { product_id: "cup-1", sku: "C1", name: "Cup", price: 12.5, quantity: 1, currency: "EUR" }],
    ["track", "Newsletter Opened", { plan: "gold", number: 7 }],
    ["track", "Something Of Their Own", { email: "jane@example.org" }],
    ["group", "company-9", { name: "Jane Ltd" }],
    ["alias", "jane-2"],
    ["screen", "Basket"],
  );
  const { measurement, customers } = await arrivals();
  const expected = ["add_to_cart", "alias", "custom", "group", "identify", "newsletter_opened", "page_view", "purchase", "screen_view"];
  assert.deepEqual([names(customers), names(measurement)], [expected, expected]);
  assert.doesNotMatch(JSON.stringify({ measurement, customers }), /jane|company|A-1001|anonymous/i);

  assert.equal(new Set(customers.map(({ visitor_id: id }) => id)).size, 1, "one visitor");
  assert.equal(new Set(customers.map(({ session_id: id }) => id)).size, 1, "one session");
  const [order] = customers.filter(({ name }) => name === "purchase");
  const { event_id: id, time, visitor_id: visitorId, session_id: sessionId, transaction_id: transaction, device, ...rest } = order;
  for (const text of [id, visitorId, sessionId, transaction]) assert.ok(text, JSON.stringify(order));
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 10 * 60_000, "its own time");
  assert.deepEqual([device.browser, device.form], ["chrome", "desktop"]);
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
  const [added] = customers.filter(({ name }) => name === "add_to_cart");
  assert.deepEqual(added.items, [{ id: "cup-1", name: "Cup", price: 12.5, quantity: 1 }]);
  const paths = requests(/^\/v1\/.$/).map(({ path, status }) => `${path} ${status}`);
  assert.deepEqual(paths.sort(), ["a", "g", "i", "p", "s", "t", "t", "t", "t"].map((letter) => `/v1/${letter} 200`));
  nothingElse(visitor);
});

test("after a no, nothing arrives, and each call is counted", async () => {
  const before = await refused("objected_refused");
  visitor = await visit(consenting(NO));
  await calls(visitor.page, ["page"], ["track", "Order Completed", ORDER]);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([measurement, customers], [[], []]);
  assert.equal(await until("two counted refusals", async () => (await refused("objected_refused")) >= before + 2 && refused("objected_refused")), before + 2);
  assert.equal(requests(/^\/v1\/[pt]$/).length, 2, "it is content with the answer");
  nothingElse(visitor);
});

test("in batches, all of a batch arrives, and what is left when the page ends", async () => {
  const batching = `deliveryStrategy: { strategy: "batching", config: { size: 4, timeout: 600000 } }`;
  visitor = await visit(consenting(YES, batching));
  const track = (count, event) => visitor.page.evaluate((count, event) => Promise.all(Array.from({ length: count }, () => analytics.track(event, { plan: "gold" }))).then(() => {}), count, event);
  await track(4, "Newsletter Opened");
  await until("the first batch", () => requests("/v1/b").length === 1 && requests("/v1/b")[0].status);
  const first = await arrivals();
  assert.deepEqual([names(first.customers), names(first.measurement)], Array(2).fill(Array(4).fill("newsletter_opened")));
  await track(3, "Product Viewed");
  await visitor.page.goto("about:blank");
  // It may send what is left more than once, as the page is hidden and as it ends.
  await until("what was left", () => requests("/v1/b").length >= 2 && requests("/v1/b").every(({ status }) => status));
  const second = await arrivals();
  assert.deepEqual([names(second.customers), names(second.measurement)], Array(2).fill(Array(3).fill("view_item")));
  const visitors = new Set([...first.customers, ...second.customers].map(({ visitor_id: id }) => id));
  assert.equal(visitors.size, 1, "one visitor");
  assert.ok(requests("/v1/b").every(({ body, status }) => status === 200 && JSON.parse(body).batch.length > 1));
  nothingElse(visitor);
});

test("what is answered 503, 429, or not at all, the library sends again, and each event arrives once", async () => {
  visitor = await visit(consenting(YES));
  await calls(visitor.page, ["page"]);
  const faults = { "Order Completed": [503, 503], "Product Added": [[429, { "retry-after": "1" }]], "Product Viewed": ["answer lost", "answer lost"], "Newsletter Opened": ["answer lost", 503, [429, { "retry-after": "1" }]] };
  shop.fault = ({ path, body }) => (path === "/v1/t" ? faults[JSON.parse(body).event]?.shift() : undefined);
  await visitor.page.evaluate((events) => { for (const event of events) void analytics.track(event); }, Object.keys(faults));
  await until("an answer to each", () => requests("/v1/t").filter(({ status }) => status === 200).length === 4);
  const { measurement, customers } = await arrivals();
  const expected = ["add_to_cart", "newsletter_opened", "page_view", "purchase", "view_item"];
  assert.deepEqual([names(customers), names(measurement)], [expected, expected]);
  assert.equal(new Set(customers.map(({ visitor_id: id }) => id)).size, 1);
  const attempts = requests("/v1/t").length;
  assert.equal(attempts, 4 + 2 + 1 + 2 + 3);
  assert.ok(requests("/v1/t").some(({ retry }) => Number(retry) > 0), "it says that it tries again");
  await pause(QUIET_MS);
  assert.equal(requests("/v1/t").length, attempts, "and then no more");
  assert.deepEqual(visitor.foreign(), []);
});

test("what a page could not get rid of before it ended, the visitor's next page sends, once", async () => {
  visitor = await visit(consenting(YES));
  await calls(visitor.page, ["page"]);
  shop.fault = ({ path }) => (path === "/v1/t" ? 503 : undefined);
  await visitor.page.evaluate(() => void analytics.track("Order Completed", { order_id: "A-1002", revenue: 25, currency: "EUR" }));
  await until("a first attempt", () => requests("/v1/t").some(({ status }) => status));
  await visitor.page.goto("about:blank");
  shop.fault = () => undefined;
  await visitor.page.goto(`${SHOP}/next`);
  await calls(visitor.page, ["page"]);
  await until("the order, answered", () => requests("/v1/t").some(({ status }) => status === 200));
  const { customers } = await arrivals();
  assert.deepEqual(names(customers), ["page_view", "page_view", "purchase"]);
  assert.equal(new Set(customers.map(({ visitor_id: id }) => id)).size, 1);
});

test("a write key that is not the shop's gets no settings; with settings of the page's own, its calls are refused, counted, and not sent again", async () => {
  visitor = await visit(`${SCRIPT}<script>window.analytics = library.AnalyticsBrowser.load({ writeKey: "wk_other", cdnURL: location.origin + "${shop.prefix}" }); analytics.page();</script>`);
  await until("the library's complaint", () => visitor.errors.some((error) => error.includes("no such write key")));
  assert.deepEqual(shop.asked.map(({ path, status }) => `${path} ${status}`), ["/v1/projects/wk_other/settings 404"]);
  assert.deepEqual(visitor.foreign(), []);
  await visitor.leave();

  const before = await refused("unknown_key");
  visitor = await visit(`${SCRIPT}<script>window.analytics = library.AnalyticsBrowser.load({ writeKey: "wk_other", cdnSettings: { integrations: { "Segment.io": { apiKey: "wk_other" } }, metrics: { sampleRate: 0 } } }, ${options()});</script>`);
  await calls(visitor.page, ["page"], ["track", "Order Completed", ORDER]);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([measurement, customers], [[], []]);
  assert.equal(await until("two counted refusals", async () => (await refused("unknown_key")) >= before + 2 && refused("unknown_key")), before + 2);
  await pause(QUIET_MS);
  assert.deepEqual(shop.asked.map(({ path, status }) => `${path} ${status}`), ["/v1/p 200", "/v1/t 200"]);
  nothingElse(visitor);
});

test("somebody else's page gets no settings, and that is counted", async () => {
  const before = await refused("foreign_origin");
  visitor = await visit(`${SCRIPT}<script>window.analytics = library.AnalyticsBrowser.load({ writeKey: "${WRITE_KEY}", cdnURL: "${SHOP}${shop.prefix}" }); analytics.page();</script>`, `${ELSEWHERE}/`);
  await until("the library's complaint", () => visitor.errors.length > 0);
  assert.equal(await until("a counted refusal", async () => (await refused("foreign_origin")) > before && refused("foreign_origin")), before + 1);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([measurement, customers], [[], []]);
  assert.deepEqual(shop.asked.map(({ path, status }) => `${path} ${status}`), [`/v1/projects/${WRITE_KEY}/settings 403`]);
  assert.deepEqual(visitor.foreign(), ["www.acmeshop.com"], "the shop alone");
});

test("a tracking pixel is an image to the page and an event to the destinations", async () => {
  const call = { writeKey: WRITE_KEY, event: "Newsletter Opened", messageId: "letter-1", properties: { plan: "gold" }, context: { consent: { categoryPreferences: YES } } };
  const data = Buffer.from(JSON.stringify(call)).toString("base64");
  visitor = await visit(`<img id="pixel" src="${shop.prefix}/v1/pixel/track?data=${data}">`);
  const size = await visitor.page.evaluate(async () => {
    const image = document.getElementById("pixel");
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  });
  assert.deepEqual(size, [1, 1]);
  const { measurement, customers } = await arrivals();
  assert.deepEqual([names(measurement), names(customers)], [["newsletter_opened"], ["newsletter_opened"]]);
  assert.deepEqual(customers[0].properties, { plan: "gold" });
  nothingElse(visitor);
});

// Last, since a page may end with a word to its vendor.
test("left as it comes, the library asks its vendor, and the test sees that", async () => {
  visitor = await visit(`${SCRIPT}<script>window.analytics = library.AnalyticsBrowser.load({ writeKey: "${WRITE_KEY}" });</script>`);
  await until("a request to the vendor", () => visitor.foreign().includes("cdn.segment.com"));
});
