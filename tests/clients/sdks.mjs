// A backend of the shop's: one vendor's SDK, unmodified from npm, told of a page, an event of the shop's own, an order and a person. `node sdks.mjs NAME BASE KEY ID`,
// where ID is what the SDK is to call the visitor. Prints, as JSON, which hosts were connected to and what the SDK complained of.
import net from "node:net";

const [name, base, key, id] = process.argv.slice(2);
const url = new URL(base);
const hosts = new Set();
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...parameters) {
  const [options] = Array.isArray(parameters[0]) ? parameters[0] : parameters;
  hosts.add(typeof options === "object" ? `${options.host ?? "localhost"}:${options.port}` : String(options));
  return connect.apply(this, parameters);
};
const complaints = [];
const complain = (error) => error && complaints.push(String(error));
for (const level of ["warn", "error"]) console[level] = (...said) => complaints.push(said.map(String).join(" "));

const PAGE = "https://www.acmeshop.com/orders/8412?utm_source=news";
const ORDER = {
  order_id: "A-1001", revenue: 25, tax: 2.5, shipping: 3.9, currency: "EUR", plan: "gold", email: "jane@example.org",
  products: [{ product_id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 }],
};
const called = (call) => new Promise((done) => call((error) => done(complain(error))));

const SDKS = {
  async "matomo-tracker"() {
    const { default: Matomo } = await import("matomo-tracker");
    const tracker = new Matomo(Number(key), `${base}/matomo.php`);
    tracker.on("error", complain);
    const hits = [
      { url: PAGE, action_name: "Orders", cid: id },
      { url: PAGE, e_c: "letters", e_a: "Newsletter Opened", cid: id },
      { url: PAGE, idgoal: 0, ec_id: ORDER.order_id, revenue: ORDER.revenue, ec_tx: ORDER.tax, ec_sh: ORDER.shipping, ec_items: JSON.stringify([["cup-1", "Cup", "Tableware", 12.5, 2]]), cid: id },
    ];
    tracker.track(hits[0]);
    await called((done) => tracker.trackBulk(hits.slice(1), (answer) => done(JSON.parse(answer).tracked === 2 ? null : answer)));
  },
  async "posthog-node"() {
    const { PostHog } = await import("posthog-node");
    const posthog = new PostHog(key, { host: base, flushAt: 1 });
    posthog.on("error", complain);
    posthog.capture({ distinctId: id, event: "$pageview", properties: { $current_url: PAGE } });
    posthog.capture({ distinctId: id, event: "Newsletter Opened", properties: { plan: "gold" } });
    posthog.capture({ distinctId: id, event: "Order Completed", properties: ORDER });
    posthog.identify({ distinctId: id, properties: { plan: "gold", email: "jane@example.org" } });
    await posthog.shutdown();
  },
  async mixpanel() {
    const { default: Mixpanel } = await import("mixpanel");
    const mixpanel = Mixpanel.init(key, { host: url.hostname, port: url.port, protocol: "http", path: `${url.pathname}/m` });
    await called((done) => mixpanel.track("$mp_web_page_view", { distinct_id: id, $current_url: PAGE }, done));
    await called((done) => mixpanel.track("Newsletter Opened", { distinct_id: id, plan: "gold" }, done));
    await called((done) => mixpanel.track_batch([{ event: "Order Completed", properties: { distinct_id: id, ...ORDER } }], (errors) => done(errors?.[0])));
    await called((done) => mixpanel.people.set(id, { plan: "gold", $email: "jane@example.org" }, done));
  },
  async "@amplitude/analytics-node"() {
    const { init, track, identify, Identify, flush } = await import("@amplitude/analytics-node");
    await init(key, { serverUrl: `${base}/2/httpapi`, flushIntervalMillis: 100 }).promise;
    const results = [
      track("[Amplitude] Page Viewed", { "[Amplitude] Page Location": PAGE }, { device_id: id }),
      track("Newsletter Opened", { plan: "gold" }, { device_id: id }),
      track("Order Completed", ORDER, { device_id: id }),
      identify(new Identify().set("plan", "gold").set("email", "jane@example.org"), { device_id: id }),
    ];
    await flush().promise;
    for (const { code, message } of await Promise.all(results.map(({ promise }) => promise))) complain(code !== 200 && message);
  },
  async "@segment/analytics-node"() {
    const { Analytics } = await import("@segment/analytics-node");
    const analytics = new Analytics({ writeKey: key, host: url.origin, path: `${url.pathname}/v1/batch` });
    analytics.on("error", ({ reason }) => complain(reason));
    const of = { anonymousId: id, context: { consent: { categoryPreferences: { Analytics: true, Advertising: false } } } };
    analytics.page({ ...of, properties: { url: PAGE } });
    analytics.track({ ...of, event: "Newsletter Opened", properties: { plan: "gold" } });
    analytics.track({ ...of, event: "Order Completed", properties: ORDER });
    analytics.identify({ ...of, traits: { plan: "gold", email: "jane@example.org" } });
    await analytics.closeAndFlush();
  },
  async "@umami/node"() {
    const { Umami } = await import("@umami/node");
    const umami = new Umami({ websiteId: key, hostUrl: base });
    const answers = [
      await umami.track({ hostname: "www.acmeshop.com", url: "/orders/8412?utm_source=news", id }),
      await umami.track({ hostname: "www.acmeshop.com", url: "/orders/8412", name: "Newsletter Opened", data: { plan: "gold" }, id }),
      await umami.track({ hostname: "www.acmeshop.com", url: "/orders/8412", name: "Order Completed", data: ORDER, id }),
    ];
    for (const answer of answers) complain(!answer.ok && answer.status);
  },
  async "@snowplow/node-tracker"() {
    const snowplow = await import("@snowplow/node-tracker");
    const tracker = snowplow.newTracker({ namespace: "shop", appId: key }, { endpoint: base, bufferSize: 1, onRequestFailure: ({ message, status }) => complain(message ?? status) });
    tracker.setDomainUserId(id);
    const entity = (kind, data) => ({ schema: `iglu:com.snowplowanalytics.snowplow.ecommerce/${kind}/jsonschema/1-0-0`, data });
    tracker.track(snowplow.buildPageView({ pageUrl: PAGE, pageTitle: "Orders" }));
    tracker.track(snowplow.buildStructEvent({ category: "letters", action: "Newsletter Opened" }));
    const [product] = ORDER.products;
    tracker.track(snowplow.buildSelfDescribingEvent({ event: entity("snowplow_ecommerce_action", { type: "transaction" }) }), [
      entity("transaction", { transaction_id: ORDER.order_id, revenue: ORDER.revenue, currency: ORDER.currency, tax: ORDER.tax, shipping: ORDER.shipping }),
      entity("product", { id: product.product_id, name: product.name, category: product.category, price: product.price, quantity: product.quantity, currency: ORDER.currency }),
    ]);
    await tracker.flush?.();
  },
};

await SDKS[name]();
// What is still under way ends first. One SDK reads no answers, and so its connections never end by themselves.
setTimeout(() => process.exit(), 3000).unref();
process.on("exit", () => process.stdout.write(JSON.stringify({ hosts: [...hosts], complaints })));
