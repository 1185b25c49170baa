// Vendors' calls on a page that has our script instead of theirs: what was said before loading and after it arrives as events; what is not covered is counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { held, open, QUIET_MS, received, site, until } from "./visit.mjs";

/** A page with these shims whose own scripts have made these calls before the script was there. */
const shop = (shims, stub, prepare) => open(`/page?parts=${shims}&stub=${encodeURIComponent(stub)}`, prepare);
const events = () => site.messages.flatMap(({ body }) => body.e ?? []);
/** What an event says, beside its circumstances. */
const told = ({ k, v, m, x, tx, sh, cp, y, d, a }) => JSON.parse(JSON.stringify({ k, v, m, x, tx, sh, cp, y, d, a }));
const after = async (count) => {
  await until(() => events().length >= count, `${count} events`);
  await pause(QUIET_MS);
  assert.equal(events().length, count, JSON.stringify(events().map(told)));
  return events().sort((one, other) => one.t - other.t).map(told);
};
const uncovered = () => site.messages.reduce((sum, { body }) => {
  for (const [name, count] of Object.entries(body.u ?? {})) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}, {});
const VIEW = { k: "page_view" };
const CUP = { id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 };
const ORDER = { order_id: "A-1", revenue: 25, currency: "EUR", products: [{ product_id: "cup-1", name: "Cup", category: "Tableware", price: 12.5, quantity: 2 }], planType: "gold" };
const PURCHASE = { k: "purchase", v: 25, m: "EUR", x: "A-1", y: [CUP], d: { plan_type: "gold" } };

const GTAG = `window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments); } gtag("js", new Date());`;

test("gtag: what was queued and what comes later, with products; set and config speak of what follows", async () => {
  const page = await shop("gtag", `${GTAG} gtag("set", { currency: "EUR" }); gtag("config", "G-1", { user_id: "u1" }); gtag("config", "AW-1"); gtag("event", "view_item", { value: 12.5, items: [{ item_id: "cup-1", item_name: "Cup" }] });`);
  await page.evaluate(() => gtag("event", "purchase", { transaction_id: "A-1", value: 25, tax: 2, shipping: 3, coupon: "SPRING", send_to: "G-1", items: [{ item_id: "cup-1", quantity: 2, index: 1 }], plan: "gold" }));
  assert.deepEqual(await after(3), [
    { ...VIEW, m: "EUR" },
    { k: "view_item", v: 12.5, m: "EUR", y: [{ id: "cup-1", name: "Cup" }] },
    { k: "purchase", v: 25, m: "EUR", x: "A-1", tx: 2, sh: 3, cp: "SPRING", y: [{ id: "cup-1", quantity: 2 }], d: { plan: "gold" } },
  ]);
  assert.deepEqual(uncovered(), {});
  assert.deepEqual(page.errors, []);
});

test("gtag: page views follow the history, unless the page says that it sends them; a callback is called", async () => {
  const page = await shop("gtag", `${GTAG} gtag("config", "G-1");`);
  await page.evaluate(() => history.pushState({}, "", "/page/two"));
  await after(2);
  await page.evaluate(() => new Promise((called) => gtag("event", "own", { event_callback: called })));
  await after(3);
  site.messages.length = 0;
  const other = await shop("gtag", `${GTAG} gtag("config", "G-1", { send_page_view: false });`);
  await other.evaluate(() => { history.pushState({}, "", "/page/two"); gtag("event", "page_view", { page_title: "Two", page_location: location.origin + "/page/2" }); });
  assert.deepEqual(await after(1), [VIEW]);
  assert.ok(events()[0].n === "Two" && events()[0].p.endsWith("/page/2"));
});

test("gtag: a container's data layer is the events that it names, and what is not covered is counted by name alone", async () => {
  const page = await shop("gtag", `window.dataLayer = [{ "gtm.start": 1, event: "gtm.js" }, { event: "purchase", ecommerce: { transaction_id: "A-1", value: 25, currency: "EUR", items: [{ item_id: "cup-1" }] } }];`);
  await page.evaluate(() => {
    dataLayer.push({ event: "gtm.dom" }, { pageType: "shop" }, { event: "checkout", ecommerce: { checkout: { actionField: { step: 1 } } } });
    gtag("get", "G-1", "client_id", () => {});
    gtag("set", "user_data", { email: "jane@example.org" });
    gtag("jane@example.org", 1);
    gtag("event", "own");
  });
  assert.deepEqual(await after(3), [VIEW, { k: "purchase", v: 25, m: "EUR", x: "A-1", y: [{ id: "cup-1" }] }, { k: "own" }]);
  assert.deepEqual(uncovered(), { "gtag.universal ecommerce": 1, "gtag.get": 1, "gtag.set user_data": 1, "gtag.other": 1 });
  assert.doesNotMatch(JSON.stringify(site.messages.map(({ body }) => body)), /jane/);
});

test("gtag: Consent Mode counts without being asked for: an update grants by purpose, and denies", async () => {
  const page = await shop("gtag", `${GTAG} gtag("consent", "default", { analytics_storage: "denied", ad_storage: "denied" }); gtag("config", "G-1");`);
  await after(1);
  assert.equal(site.messages[0].body.g, undefined, "a default is nobody's choice");
  await page.evaluate(() => gtag("consent", "update", { analytics_storage: "granted" }));
  assert.deepEqual((await received(2))[1].g, ["analytics"]);
  await page.evaluate(() => { gtag("consent", "update", { analytics_storage: "denied" }); gtag("event", "own"); });
  assert.deepEqual((await received(3))[2].g, []);
});

const PAQ = `var _paq = window._paq = window._paq || [];`;

test("matomo: orders, goals, searches, events; setters before the view wherever they stand in the queue", async () => {
  const page = await shop("matomo", `${PAQ} _paq.push(["setEcommerceView", "cup-1", "Cup", ["Tableware"], 12.5]); _paq.push(["trackPageView", "A title"]); _paq.push(["enableLinkTracking"]); _paq.push(["setUserId", "u1"], ["setTrackerUrl", "x"]);`);
  await page.evaluate(() => {
    _paq.push(["trackEvent", "Letters", "Newsletter Opened", "spring", 3]);
    _paq.push(["trackSiteSearch", "cups", "all", 3]);
    _paq.push(["trackGoal", 2, 10]);
    _paq.push(["addEcommerceItem", "cup-1", "Cup", "Tableware", 12.5, 2], ["addEcommerceItem", "tea-9", "Tea"], ["removeEcommerceItem", "tea-9"]);
    _paq.push(["trackEcommerceCartUpdate", 25]);
    _paq.push(["trackEcommerceOrder", "A-1", 25, 20, 2.5, 3.9, false]);
    _paq.push(["setCustomDimension", 1, "jane"], ["Custom::thing", "jane"], [function () { this.trackGoal(3); window.visitor = this.getVisitorId(); }]);
    _paq.push(["trackLink", "https://other.example/x", "link"]);
  });
  // Each goes by itself: which arrives first is the network's.
  const sorted = (all) => all.map((one) => JSON.stringify(one)).sort();
  assert.deepEqual(sorted(await after(9)), sorted([
    VIEW,
    { k: "view_item", v: 12.5, y: [{ id: "cup-1", name: "Cup", category: "Tableware", price: 12.5 }] },
    { k: "newsletter_opened", d: { event_category: "Letters", event_label: "spring", event_value: 3 } },
    { k: "view_search_results", d: { search_term: "cups", search_category: "all" } },
    { k: "goal", v: 10, d: { goal: 2 } },
    { k: "cart_update", v: 25, y: [CUP] },
    { k: "purchase", v: 25, x: "A-1", tx: 2.5, sh: 3.9, y: [CUP] },
    { k: "goal", d: { goal: 3 } },
    { k: "click", d: { link_domain: "other.example", outbound: true } },
  ]));
  assert.equal(events().find(({ k }) => k === "page_view").n, "A title");
  assert.deepEqual(uncovered(), { "matomo.setCustomDimension": 1, "matomo.other": 1, "matomo.getVisitorId": 1 });
  assert.deepEqual(page.errors, []);
});

test("matomo: without an agreed consent nothing leaves, then what was held does, once; forgetting it is a no", async () => {
  const page = await shop("matomo", `${PAQ} _paq.push(["trackPageView"]); _paq.push(["requireConsent"]);`);
  await pause(QUIET_MS);
  assert.deepEqual([site.messages.length, await held(page)], [0, 1], "nothing, a measurement without consent included");
  await page.evaluate(() => _paq.push(["setConsentGiven"]));
  const [first] = await received(1);
  assert.deepEqual([first.g, first.e.length, first.e[0].h], [["analytics"], 1, undefined]);
  await page.evaluate(() => { _paq.push(["forgetConsentGiven"]); _paq.push(["trackGoal", 1]); });
  assert.deepEqual((await received(2))[1].g, []);
  await page.evaluate(() => _paq.push(["optUserOut"]));
  assert.equal((await received(3))[2].o, 1);
});

const FBQ = `!function(f,n){n=f.fbq=function(){n.callMethod?n.callMethod.apply(n,arguments):n.queue.push(arguments)};f._fbq=n;n.push=n;n.loaded=!0;n.version="2.0";n.queue=[]}(window); fbq("init", "7");`;

test("meta: standard events by GA4's names, with what was bought; a purchase keeps its event id", async () => {
  const page = await shop("meta", `${FBQ} fbq("track", "PageView"); fbq("track", "Purchase", { value: 25, currency: "EUR", order_id: "A-1", num_items: 2, contents: [{ id: "cup-1", quantity: 2, item_price: 12.5 }] }, { eventID: "e1" });`);
  await page.evaluate(() => {
    fbq("trackSingle", "7", "ViewContent", { content_ids: ["cup-1"], content_name: "Cup" });
    fbq("trackCustom", "NewsletterOpened", { planType: "gold" });
    fbq("setUserProperties", "7", { email: "jane@example.org" });
    fbq("init", "7", { em: "jane@example.org" });
    fbq("track", "Lead");
  });
  assert.deepEqual(await after(5), [
    VIEW,
    { k: "purchase", v: 25, m: "EUR", x: "A-1", y: [{ id: "cup-1", price: 12.5, quantity: 2 }], d: { num_items: 2 } },
    { k: "view_item", y: [{ id: "cup-1", name: "Cup" }] },
    { k: "newsletter_opened", d: { plan_type: "gold" } },
    { k: "generate_lead" },
  ]);
  assert.equal(events()[1].i, "e1");
  assert.deepEqual(uncovered(), { "meta.setUserProperties": 1, "meta.init with user data": 1 });
});

test("meta: a pixel that waits for consent bars ads and chooses nothing; a grant and a revocation count for ads alone", async () => {
  const page = await shop("meta", `${FBQ} fbq("consent", "revoke"); fbq("track", "PageView");`);
  await after(1);
  assert.equal(site.messages[0].body.g, undefined);
  await page.evaluate(() => fpw.consent(["analytics", "ads"]));
  assert.deepEqual((await received(2))[1].g, ["analytics"], "the page's yes to ads does not outrank it");
  await page.evaluate(() => { fbq("consent", "grant"); fbq("track", "Lead"); });
  assert.deepEqual((await received(3))[2].g, ["analytics", "ads"]);
  await page.evaluate(() => { fbq("consent", "revoke"); fbq("track", "Contact"); });
  assert.deepEqual((await received(4))[3].g, ["analytics"]);
});

test("plausible and umami: a view by itself, custom events with money, elements with an event's name", async () => {
  const page = await shop("plausible", `window.plausible = window.plausible || function () { (plausible.q = plausible.q || []).push(arguments) }; plausible("Newsletter Opened", { props: { planType: "gold" } });`);
  await page.evaluate(() => new Promise((called) => plausible("Purchase", { revenue: { amount: 25, currency: "EUR" }, callback: called })));
  await page.evaluate(() => history.pushState({}, "", "/page/two"));
  assert.deepEqual(await after(4), [VIEW, { k: "newsletter_opened", d: { plan_type: "gold" } }, { k: "purchase", v: 25, m: "EUR" }, VIEW]);
  site.messages.length = 0;
  const other = await shop("umami", "");
  await other.evaluate((order) => {
    umami.track("Order Completed", order);
    umami.track((page) => ({ ...page, name: "Newsletter Opened", data: { plan: "gold" } }));
    umami.identify({ email: "jane@example.org" });
    document.body.innerHTML = `<button data-umami-event="signup" data-umami-event-plan="gold">x</button>`;
    document.querySelector("button").click();
    umami.track({ url: "/virtual", title: "Virtual" });
  }, ORDER);
  assert.deepEqual(await after(6), [VIEW, PURCHASE, { k: "newsletter_opened", d: { plan: "gold" } }, { k: "identify" }, { k: "signup", d: { plan: "gold" } }, VIEW]);
  assert.ok(events()[5].p.endsWith("/virtual") && events()[5].n === "Virtual");
  assert.doesNotMatch(JSON.stringify(site.messages.map(({ body }) => body)), /jane/);
});

const ANALYTICS = `window.analytics = window.analytics || []; analytics.methods = ["track", "page", "identify", "group", "alias", "ready", "reset", "on", "user", "addSourceMiddleware", "trackLink"]; analytics.factory = (name) => function () { if (analytics.initialized) return analytics[name].apply(analytics, arguments); const said = [...arguments]; if (["track", "page", "identify"].includes(name)) said.push({ __t: "bpc", c: location.href, p: location.pathname, u: location.href, s: "", t: "As it was", r: "" }); said.unshift(name); analytics.push(said); return analytics; }; for (const name of analytics.methods) analytics[name] = analytics.factory(name); analytics.load = () => {};`;

test("segment: its stub's calls, with the page as it was then; callbacks and promises come to an end", async () => {
  const page = await shop("segment", `${ANALYTICS} analytics.load("k"); analytics.page("Home"); analytics.track("Order Completed", ${JSON.stringify(ORDER)});`);
  const ended = await page.evaluate(async () => {
    await new Promise((called) => analytics.track("Product Added", { product_id: "cup-1", price: 12.5, currency: "EUR" }, {}, called));
    await analytics.identify("u1", { email: "jane@example.org" });
    analytics.addSourceMiddleware(() => {});
    await analytics.track("Signed Up");
    history.pushState({}, "", "/page/two");
    await analytics.page("Category", "Two", { tier: "gold" });
    await analytics.ready(() => {});
    return typeof analytics.user().id();
  });
  assert.deepEqual(await after(6), [
    { ...VIEW, d: { name: "Home" } },
    PURCHASE,
    { k: "add_to_cart", m: "EUR", y: [{ id: "cup-1", price: 12.5 }] },
    { k: "identify" },
    { k: "sign_up" },
    { ...VIEW, d: { name: "Two", category: "Category", tier: "gold" } },
  ]);
  assert.equal(events()[0].n, "As it was");
  assert.ok(events()[5].r.includes("/page?"), "where the visitor came from is the route before");
  assert.equal(ended, "string");
  assert.deepEqual(uncovered(), { "segment.traits": 1, "segment.addSourceMiddleware": 1, "segment.user": 1 });
  assert.doesNotMatch(JSON.stringify(site.messages.map(({ body }) => body)), /jane/);
  assert.deepEqual(page.errors, []);
});

test("segment: what a call says of consent counts, and a claimed id goes with a yes alone", async () => {
  const page = await shop("segment", ANALYTICS);
  await page.evaluate(() => { analytics.identify("u1"); analytics.track("A", {}, { context: { consent: { categoryPreferences: { Analytics: true, Advertising: false } } } }); });
  await until(() => events().some(({ a }) => a === "u1"));
  const granted = site.messages.find(({ body }) => body.g);
  assert.deepEqual(granted.body.g, ["analytics"]);
  assert.ok(site.messages.filter(({ body }) => !body.g).every(({ body }) => body.e.every(({ a }) => !a)));
  await page.evaluate(() => analytics.track("B", {}, { context: { consent: { categoryPreferences: { Analytics: false } } } }));
  await until(() => site.messages.some(({ body }) => body.g?.length === 0));
});

const POSTHOG = `window.posthog = window.posthog || []; posthog._i = []; for (const name of "init capture identify reset register opt_out_capturing opt_in_capturing isFeatureEnabled setPersonProperties".split(" ")) posthog[name] = function () { posthog.push([name, ...arguments]); }; posthog.init = (token, config) => posthog._i.push([token, config, undefined]);`;

test("posthog and mixpanel: capture and track, what is registered goes along, opt-outs are the server's", async () => {
  const page = await shop("posthog", `${POSTHOG} posthog.init("k", { api_host: "x" }); posthog.register({ plan: "gold" }); posthog.capture("Newsletter Opened");`);
  await page.evaluate((order) => {
    posthog.capture("Order Completed", order);
    if (posthog.isFeatureEnabled("beta")) throw new Error("there are no flags");
    posthog.setPersonProperties({ email: "jane@example.org" });
    posthog.capture("$pageleave");
  }, { ...ORDER, planType: undefined });
  assert.deepEqual(await after(4), [VIEW, { k: "newsletter_opened", d: { plan: "gold" } }, { ...PURCHASE, d: { plan: "gold" } }, { k: "user_engagement", d: { plan: "gold" } }]);
  assert.deepEqual(uncovered(), { "posthog.feature flags": 1, "posthog.person properties": 1 });
  await page.evaluate(() => { posthog.opt_out_capturing(); posthog.capture("Own"); });
  assert.equal((await received(site.messages.length)).at(-1).o, 1);
  assert.equal(await page.evaluate(() => posthog.has_opted_out_capturing()), true);
  site.messages.length = 0;
  const stub = `window.mixpanel = window.mixpanel || []; mixpanel._i = []; mixpanel.people = { set: function () { mixpanel.push(["people.set", ...arguments]); } }; for (const name of "track track_pageview identify opt_in_tracking".split(" ")) mixpanel[name] = function () { mixpanel.push([name, ...arguments]); }; mixpanel.init = (token, config) => mixpanel._i.push([token, config]);`;
  const other = await shop("mixpanel", `${stub} mixpanel.init("k", { opt_out_tracking_by_default: true }); mixpanel.track_pageview(); mixpanel.people.set({ $email: "jane@example.org" });`);
  await pause(QUIET_MS);
  assert.equal(site.messages.length, 0, "held back until somebody opts in");
  await other.evaluate((order) => { mixpanel.opt_in_tracking(); mixpanel.track("Order Completed", order); mixpanel.people.increment("visits"); mixpanel.track("Own"); }, ORDER);
  assert.deepEqual(await after(3), [VIEW, PURCHASE, { k: "own" }]);
  assert.deepEqual(site.messages[0].body.g, ["analytics"]);
  assert.deepEqual(uncovered(), { "mixpanel.people": 2 });
});

test("two vendors of one shop: a view and a purchase are one each, and the twins are counted", async () => {
  const page = await shop("gtag,meta", `${GTAG} gtag("config", "G-1"); ${FBQ} fbq("track", "PageView"); gtag("event", "purchase", { value: 25, transaction_id: "A-1" }); fbq("track", "Purchase", { value: 25, currency: "EUR" });`);
  await page.evaluate(() => history.pushState({}, "", "/page/two"));
  await after(3);
  await page.evaluate(() => { gtag("event", "add_to_cart"); fbq("track", "AddToCart"); });
  assert.deepEqual(await after(4), [VIEW, { k: "purchase", v: 25, x: "A-1" }, VIEW, { k: "add_to_cart" }]);
  await pause(1100);
  await page.evaluate(() => { fbq("track", "AddToCart"); });
  await after(5);
  assert.deepEqual(uncovered(), { "meta.twin": 3 });
});

test("a mistake in a vendor's call is the page's, and ends here", async () => {
  const page = await shop("gtag,matomo,meta,mixpanel,plausible,posthog,segment,umami", `window._paq = [null, 7, [], ["trackLink", "::"], ["trackEvent"]]; window.dataLayer = [null, 7, {}, [], { event: null }]; window.analytics = [null, ["track"], "x"]; window.posthog = 7;`);
  await page.evaluate(() => {
    _paq.push(null, 7, [null], ["constructor"], ["trackEcommerceOrder"]);
    dataLayer.push(null, { event: "x", ecommerce: 7 });
    analytics.track(); analytics.page(null, null); analytics.identify(null);
    fbq(); fbq("track"); plausible(); umami.track(null); umami.identify(); mixpanel.track(); mixpanel.people.set();
    analytics.constructor; fpw.event("last");
  });
  await until(() => events().some(({ k }) => k === "last"));
  assert.deepEqual(page.errors, []);
});

test("without a shim a page's vendor calls are nobody's, and its objects stay as they were", async () => {
  const page = await open(`/page?stub=${encodeURIComponent(`${GTAG} gtag("event", "own"); window._paq = [["trackPageView"]];`)}`);
  await received(1);
  assert.deepEqual(events().map(told), [VIEW]);
  assert.deepEqual(await page.evaluate(() => [dataLayer.length, _paq.length, typeof fbq, typeof analytics, Object.hasOwn(dataLayer, "push")]), [2, 1, "undefined", "undefined", false]);
});
