// Libraries of other vendors, unmodified from npm, in a page of the shop: each is told of a page, an event of the shop's own, an order and a person, before
// and after a yes, and what arrives is compared with what it was told. Their page names no other host than the shop's, and neither complains.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { arrivals, closeShop, KEYS, names, openShop, requests, SHOP, shop, until, visit } from "./shop.mjs";

const ORDER = {
  order_id: "A-1001", revenue: 25, tax: 2.5, shipping: 3.9, currency: "EUR", plan: "gold", email: "jane@example.org",
  products: [{ product_id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 }],
};
const PAGE = `${SHOP}/orders/8412?utm_source=news&email=jane@example.org`;
/** Longer than a library waits before it sends the next batch. */
const QUIET_MS = 3000;
const ITEM = { id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 };

/**
 * How each is set up, in the words of docs/clients.md, and told. `tell(order)` runs in the page. `order`: what of an order the library has words for. `names`: what
 * arrives.
 */
const LIBRARIES = [
  {
    name: "plausible",
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
];

before(openShop);
after(closeShop);
let visitor;
afterEach(async () => {
  await visitor?.leave();
  visitor = undefined;
});

const script = (library) => `<script src="/assets/${library.name}.js"></script><script>${library.start()}</script>`;

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
    nothingElse(visitor);
  });

  test(`${library.name}: after a yes, an order arrives as it was told`, async () => {
    visitor = await visit("<!-- no library yet -->", PAGE);
    await agree(visitor.page, shop.prefix);
    await arrivals();
    shop.head = script(library);
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
