// Three pages that were built for a vendor's script move over by one address: the script's. What arrives before (the vendor's own library from npm, or, where it is in no registry,
// a stand-in that sends what the vendor documents) and after (our script with the shim) is compared event by event, and shown beside each other.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { arrivals, closeShop, KEYS, MEASUREMENT_ID, openShop, requests, SHOP, shop, until, visit, WRITE_KEY } from "./shop.mjs";

/** How each page is told whose script it loads. `names`: what has to arrive. */
const PAGES = [
  {
    name: "a GA4 shop", file: "shop.html", before: "/assets/stand-in-gtag.js", by: "a stand-in for gtag.js", shim: "gtag", key: MEASUREMENT_ID, path: /^\/g\/collect$/,
    names: ["add_to_cart", "begin_checkout", "newsletter_opened", "page_view", "purchase", "view_item"],
  },
  {
    name: "a Matomo blog", file: "blog.html", before: "/assets/stand-in-matomo.js", by: "a stand-in for matomo.js", shim: "matomo", key: KEYS.matomo, path: /^\/mt$/,
    names: ["cart_update", "click", "file_download", "goal", "newsletter_opened", "page_view", "page_view", "purchase", "view_item", "view_search_results"],
  },
  {
    name: "a Segment single-page app", file: "app.html", before: "/assets/segment-standalone.js", by: "@segment/analytics-next", shim: "segment", key: WRITE_KEY, path: /^\/v1\/[a-z]$/,
    names: ["add_to_cart", "group", "identify", "newsletter_opened", "page_view", "page_view", "page_view", "purchase", "view_item"],
  },
];
const ADDRESS = `${SHOP}/orders/8412?utm_source=news&email=jane@example.org`;

before(openShop);
after(closeShop);
let visitor;
afterEach(async () => {
  await visitor?.leave();
  visitor = undefined;
  await arrivals();
});

/** A page as its owner wrote it, with that script. */
const written = ({ file, key }, script) => {
  const values = { script, key, prefix: shop.prefix, origin: SHOP };
  return readFileSync(new URL(`swap/${file}`, import.meta.url), "utf8").replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]);
};
/** What a destination was told of an event, without what differs from visit to visit. */
const told = ({ name, page, campaign, value, currency, tax, shipping, coupon, items, properties, user_id: user, consent }) =>
  JSON.parse(JSON.stringify({ name, page: page?.path, campaign, value, currency, tax, shipping, coupon, items, properties, user, consent }));
const inOrder = (events) => events.filter(({ name }) => name !== "user_engagement").map(told).map((event) => JSON.stringify(event)).sort().map((text) => JSON.parse(text));

/** Somebody who has agreed opens the page, and does what there is to do. */
async function visited(page, script, path) {
  visitor = await visit("<!-- nothing yet -->", ADDRESS);
  // On record, for the vendor whose beacons have no words for it.
  await visitor.page.evaluate((address) => fetch(address, { method: "POST", body: JSON.stringify({ g: ["analytics"], e: [{ k: "login" }] }) }), `${shop.prefix}/e`);
  await arrivals();
  shop.asked.length = 0;
  shop.head = `<script>window.collector = "${shop.prefix}";</script>\n${written(page, script)}`;
  await visitor.page.goto(ADDRESS);
  await visitor.page.evaluate(() => act());
  const customers = [];
  const measurement = [];
  await until(`${page.names.length} events by ${script}`, async () => {
    const fresh = await arrivals();
    customers.push(...fresh.customers);
    measurement.push(...fresh.measurement);
    return customers.length >= page.names.length && requests(path).every(({ status }) => status);
  });
  const foreign = visitor.foreign();
  const { errors } = visitor;
  await visitor.leave();
  visitor = undefined;
  const last = await arrivals();
  return { customers: inOrder([...customers, ...last.customers]), measurement: inOrder([...measurement, ...last.measurement]), foreign, errors };
}

/** One event in a line. */
const line = (event) => {
  if (!event) return "—";
  const { name, page, value, currency, items, properties, user } = event;
  const parts = [name, page, value !== undefined && `${value}${currency ? ` ${currency}` : ""}`, items?.length && items.map(({ id, quantity }) => `${quantity ?? 1}×${id}`).join(" "), properties && JSON.stringify(properties), user && `user ${user}`];
  return parts.filter(Boolean).join("  ");
};

for (const page of PAGES) {
  test(`${page.name} changes one address, and the same events arrive`, async () => {
    const [vendors, ours] = [page.before, `${shop.prefix}/core.js`].map((script) => written(page, script).split("\n"));
    const changed = vendors.map((text, at) => [text, ours[at]]).filter(([one, other]) => one !== other);
    assert.equal(changed.length, 1, "one line of the page");

    const earlier = await visited(page, page.before, page.path);
    const later = await visited(page, `${shop.prefix}/core.js`, "/e");
    const rows = Array.from({ length: Math.max(earlier.customers.length, later.customers.length) }, (_, at) => [earlier.customers[at], later.customers[at]].map(line));
    const width = Math.max(...rows.map(([one]) => one.length), page.by.length + 8);
    console.log([
      `\n${page.name}: ${changed[0].map((text) => text.trim()).join("\n   becomes    ")}`,
      `  ${`before: ${page.by}`.padEnd(width)} │ after: core.js with shims = ["${page.shim}"]`,
      ...rows.map(([one, other]) => `  ${one.padEnd(width)} │ ${one === other ? "the same" : other}`),
    ].join("\n"));

    assert.deepEqual(earlier.customers.map(({ name }) => name).sort(), page.names, "the control: the page says all this to its vendor");
    assert.deepEqual(later.customers, earlier.customers);
    assert.deepEqual(later.measurement, earlier.measurement);
    assert.deepEqual(later.foreign, [], "no host but the shop's");
    assert.deepEqual(later.errors, []);
    assert.doesNotMatch(JSON.stringify(later), /jane|A-100/);
  });
}
