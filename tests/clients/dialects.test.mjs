// Libraries of other vendors, unmodified from npm, in a page of the shop: each is told of a page, an event of the shop's own, an order and a person, before
// and after a yes, and what arrives is compared with what it was told. Their page names no other host than the shop's, and neither complains.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { UMAMI } from "./libraries.mjs";
import { arrivals, closeShop, KEYS, names, openShop, requests, SHOP, shop, table, until, visit, WRITE_KEY } from "./shop.mjs";

const installed = { ...createRequire(import.meta.url)("./package.json").devDependencies, "Umami's script.js": UMAMI };
const ORDER = {
  order_id: "A-1001", revenue: 25, tax: 2.5, shipping: 3.9, currency: "EUR", plan: "gold", email: "jane@example.org",
  products: [{ product_id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 }],
};
const PAGE = `${SHOP}/orders/8412?utm_source=news&email=jane@example.org`;
/** Longer than a library waits before it sends the next batch. */
const QUIET_MS = 3000;
const LEAVING_MS = 400;
const ITEM = { id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 };

/**
 * How each is set up, in the words of the table of libraries, and told. `start(agreed)`: where it has words for a choice, it says it. `tell(order)` runs in the page.
 * `order`: what of an order the library has words for. `names`: what arrives. `library`: its name in the table.
 */
const LIBRARIES = [
  {
    name: "plausible",
    library: "@plausible-analytics/tracker",
    start: () => `library.init({ domain: "${KEYS.plausible}", endpoint: "${SHOP}${shop.prefix}/api/event", captureOnLocalhost: true });`,
    tell: (order) => {
      window.library.track("Newsletter Opened", { props: { plan: "gold" } });
      window.library.track("Purchase", { revenue: { amount: order.revenue, currency: order.currency }, props: { plan: "gold" } });
    },
    path: "/api/event",
    names: ["newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR" },
  },
  {
    name: "posthog",
    library: "posthog-js",
    start: () => `library.default.init("${KEYS.posthog}", { api_host: "${SHOP}${shop.prefix}", ui_host: null, disable_session_recording: true, disable_surveys: true, autocapture: false, opt_out_useragent_filter: true });`,
    tell: (order) => {
      window.library.default.capture("Newsletter Opened", { plan: "gold" });
      window.library.default.capture("Order Completed", order);
      window.library.default.identify("jane-1", { plan: "gold", email: "jane@example.org" });
    },
    path: /^\/(e|i\/v0\/e)\/$/,
    names: ["identify", "newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] },
  },
  {
    name: "mixpanel",
    library: "mixpanel-browser",
    start: () => `library.default.init("${KEYS.mixpanel}", { api_host: "${SHOP}${shop.prefix}/m", batch_flush_interval_ms: 500 });`,
    tell: (order) => {
      const mixpanel = window.library.default;
      mixpanel.track_pageview();
      mixpanel.track("Newsletter Opened", { plan: "gold" });
      mixpanel.track("Order Completed", order);
      mixpanel.identify("jane-1");
      mixpanel.people.set({ plan: "gold", $email: "jane@example.org" });
    },
    path: /^\/m\/(track|engage)\/$/,
    names: ["identify", "identify", "identify", "newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] },
  },
  {
    name: "amplitude",
    library: "@amplitude/analytics-browser",
    start: () => `library.init("${KEYS.amplitude}", { serverUrl: "${SHOP}${shop.prefix}/2/httpapi", fetchRemoteConfig: false, flushIntervalMillis: 500, autocapture: { pageViews: true, sessions: false, attribution: false, elementInteractions: false, formInteractions: false, fileDownloads: false } });`,
    tell: (order) => {
      window.library.track("Newsletter Opened", { plan: "gold" });
      window.library.track("Order Completed", order);
      window.library.setUserId("jane-1");
      window.library.identify(new window.library.Identify().set("plan", "gold").set("email", "jane@example.org"));
    },
    path: "/2/httpapi",
    names: ["identify", "newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] },
  },
  {
    name: "snowplow",
    library: "@snowplow/browser-tracker",
    start: () => `library.newTracker("sp", "${SHOP}${shop.prefix}", { appId: "${KEYS.snowplow}", postPath: "/x/tp2", bufferSize: 1 }); library.trackPageView();`,
    tell: (order) => {
      const entity = (name, data) => ({ schema: `iglu:com.snowplowanalytics.snowplow.ecommerce/${name}/jsonschema/1-0-0`, data });
      window.library.trackStructEvent({ category: "letters", action: "Newsletter Opened", label: "spring" });
      const [product] = order.products;
      window.library.trackSelfDescribingEvent({
        event: entity("snowplow_ecommerce_action", { type: "transaction" }),
        context: [
          entity("transaction", { transaction_id: order.order_id, revenue: order.revenue, currency: order.currency, tax: order.tax, shipping: order.shipping }),
          entity("product", { id: product.product_id, name: product.name, category: product.category, price: product.price, quantity: product.quantity, currency: order.currency }),
        ],
      });
    },
    path: "/x/tp2",
    names: ["newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] },
  },
  {
    name: "umami",
    library: "Umami's script.js",
    attributes: () => ` data-website-id="${KEYS.umami}" data-host-url="${SHOP}${shop.prefix}"`,
    tell: (order) => {
      window.umami.track("Newsletter Opened", { plan: "gold" });
      window.umami.track("Order Completed", order);
      window.umami.identify({ plan: "gold", email: "jane@example.org" });
    },
    path: "/api/send",
    names: ["identify", "newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] },
  },
  {
    name: "rudderstack",
    library: "@rudderstack/analytics-js",
    start: (agreed) => `window.analytics = new library.RudderAnalytics(); analytics.load("${WRITE_KEY}", "${SHOP}${shop.prefix}", { configUrl: "${SHOP}${shop.prefix}"${agreed ? `, consentManagement: { enabled: true, provider: "custom", allowedConsentIds: ["Analytics"], deniedConsentIds: ["Marketing"] }` : ""} }); analytics.page();`,
    tell: (order) => {
      window.analytics.track("Newsletter Opened", { plan: "gold" });
      window.analytics.track("Order Completed", order);
      window.analytics.identify("jane-1", { plan: "gold", email: "jane@example.org" });
    },
    path: /^\/v1\/(page|track|identify)$/,
    names: ["identify", "newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] },
  },
  {
    name: "jitsu",
    library: "@jitsu/js",
    start: (agreed) => `window.analytics = library.jitsuAnalytics({ host: "${SHOP}${shop.prefix}", writeKey: "${WRITE_KEY}:secret"${agreed ? ", privacy: { consentCategories: { Analytics: true, Marketing: false } }" : ""} }); analytics.page();`,
    tell: (order) => {
      window.analytics.track("Newsletter Opened", { plan: "gold" });
      window.analytics.track("Order Completed", order);
      window.analytics.identify("jane-1", { plan: "gold", email: "jane@example.org" });
    },
    path: /^\/api\/s\/(page|track|identify)$/,
    names: ["identify", "newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR", tax: 2.5, shipping: 3.9, items: [ITEM] },
  },
  {
    name: "countly",
    library: "countly-sdk-web",
    // It takes a browser without a screen for a bot, and tells nothing of it.
    start: () => `library = library.default ?? library; library.init({ app_key: "${KEYS.countly}", url: "${SHOP}${shop.prefix}/c", ignore_bots: false, interval: 500 }); library.track_pageview(location.pathname + location.search);`,
    tell: ({ revenue, currency, order_id: id }) => {
      window.library.add_event({ key: "Newsletter Opened", count: 1, segmentation: { plan: "gold" } });
      window.library.add_event({ key: "Order Completed", count: 1, sum: revenue, segmentation: { currency, order_id: id, plan: "gold" } });
      window.library.user_details({ name: "Jane", email: "jane@example.org", custom: { plan: "gold" } });
    },
    path: "/c/i",
    names: ["identify", "newsletter_opened", "page_view", "purchase"],
    order: { value: 25, currency: "EUR" },
  },
];

before(openShop);
after(closeShop);
let visitor;
afterEach(async () => {
  await visitor?.leave();
  visitor = undefined;
  // What a library says when its page ends is not the next one's; the browser sends it a moment after the page is gone.
  await pause(LEAVING_MS);
  await arrivals();
});

const script = (library, agreed) => `<script src="/assets/${library.name}.js"${library.attributes?.() ?? ""}></script><script>${library.start?.(agreed) ?? ""}</script>`;

/** Whatever it asked for is in the table of libraries, which the filter lists were asked about. */
function asTheTableSays(library) {
  const { asks, tried } = table()[library.library];
  assert.equal(tried, installed[library.library], "the version that the table names");
  const known = asks.map(({ address }) => new RegExp(`^${address.split("?")[0].replace(/[.]/g, "\\.").replace("*", "[^/]+")}$`));
  const others = shop.asked.map(({ path }) => path).filter((path) => path !== "/e" && !known.some((one) => one.test(path)));
  assert.deepEqual(others, [], "it asks for something that the table does not have");
}

/** Nobody but the shop was asked, and neither the library nor the browser complained. */
function nothingElse({ foreign, errors }) {
  assert.deepEqual(foreign(), [], "hosts that are not the shop's");
  assert.deepEqual(errors, []);
}

/** Waits until the library has sent what it was told, and all of it has come to its end. */
async function sent(library) {
  await until("the library's requests, answered", () => requests(library.path).length > 0 && requests(library.path).every(({ status }) => status));
  let count;
  do {
    count = requests(library.path).length;
    await pause(QUIET_MS);
  } while (requests(library.path).length !== count);
  return arrivals();
}

/** A yes, said to the site. */
const agree = (page, prefix) => page.evaluate((path) => fetch(path, { method: "POST", body: JSON.stringify({ g: ["analytics"], e: [{ k: "login" }] }) }), `${prefix}/e`);

for (const library of LIBRARIES) {
  test(`${library.name}: before the choice, measurement gets no more than what happened, and nobody else anything`, async () => {
    visitor = await visit(script(library), PAGE);
    await visitor.page.evaluate(library.tell, ORDER);
    const { measurement, customers } = await sent(library);
    assert.deepEqual([names(measurement), names(customers)], [library.names, []]);
    for (const event of measurement) {
      assert.deepEqual(event.consent, { state: "unknown", purposes: [] });
      for (const field of ["value", "currency", "order_id", "items", "campaign"]) assert.ok(!(field in event), field);
    }
    assert.doesNotMatch(JSON.stringify(measurement), /jane|A-1001|Cup/);
    const pages = measurement.filter(({ page }) => page).map(({ page }) => page.path);
    assert.ok(pages.length > 0 && pages.every((path) => path === "/orders/{n}"), JSON.stringify(pages));
    assert.ok(requests(library.path).every(({ status }) => status < 300), "it is content with the answers");
    asTheTableSays(library);
    nothingElse(visitor);
  });

  test(`${library.name}: after a yes, an order arrives as it was told`, async () => {
    visitor = await visit("<!-- no library yet -->", PAGE);
    await agree(visitor.page, shop.prefix);
    await arrivals();
    shop.head = script(library, true);
    await visitor.page.goto(PAGE);
    await visitor.page.evaluate(library.tell, ORDER);
    const { customers } = await sent(library);
    assert.deepEqual(names(customers), library.names);
    assert.equal(new Set(customers.map(({ visitor_id: id }) => id)).size, 1, "one visitor");
    const [order] = customers.filter(({ name }) => name === "purchase");
    const { value, currency, tax, shipping, items } = order;
    assert.deepEqual(JSON.parse(JSON.stringify({ value, currency, tax, shipping, items })), library.order);
    assert.deepEqual(order.consent, { state: "granted", purposes: ["analytics"] });
    // Not every library says with every event which page it is on.
    const [viewed] = customers.filter(({ name }) => name === "page_view");
    assert.deepEqual(viewed.campaign, { source: "news" });
    assert.doesNotMatch(JSON.stringify(customers), /jane|A-1001/);
    nothingElse(visitor);
  });

  test(`${library.name}: what it is answered 503, or not at all, ends nowhere else`, async () => {
    visitor = await visit(script(library), PAGE);
    shop.fault = () => 503;
    await visitor.page.evaluate(library.tell, ORDER);
    await until("an attempt", () => requests(library.path).some(({ status }) => status === 503));
    await pause(QUIET_MS);
    assert.deepEqual(visitor.foreign(), [], "hosts that are not the shop's");
    assert.ok(requests(library.path).length < 60, "it does not hammer");
    shop.fault = () => undefined;
    await visitor.page.goto("about:blank");
    await arrivals();
  });
}
