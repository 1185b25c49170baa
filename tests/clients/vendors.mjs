// Vendors' tags as a shop has them: their scripts and receivers at their true host names, so that blockers judge the true requests. A script that is in a registry is served unmodified;
// one that is in none (Google's, Meta's, Matomo's) is a stand-in, which sends what the vendor documents.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { SCRIPTS } from "./libraries.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const installed = (path) => readFileSync(join(here, "node_modules", path), "utf8");
const standIn = (name) => readFileSync(join(here, "swap", `stand-in-${name}.js`), "utf8");
/** What a request says, whatever it is packed in. */
const unpacked = (body) => (body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body).toString();
/** JSON, as it is or in a form's field `data`, there perhaps in base64. */
function json(body) {
  const text = unpacked(body) || "null";
  const data = text.startsWith("data=") ? new URLSearchParams(text).get("data") : text;
  return JSON.parse(/^[[{"n]/.test(data) ? data : Buffer.from(data, "base64").toString());
}
const form = (body) => new URLSearchParams(unpacked(body));
const list = (said) => (Array.isArray(said) ? said : [said]);
const VIEW = "view";
const ORDER = "order";
/** What is told of an order: the same to all. */
export const TOLD = { transaction_id: "T-1", value: 25, currency: "EUR" };

/**
 * Each: `script` where its script is, and what that is; `tag` how a page has it, `view` where the tag does not count the page by itself; `order` what a page calls; `host` and `path` of its receiver;
 * `read` what a request to that says: page views and orders.
 */
export const VENDORS = [
  {
    name: "Google (stand-in)",
    script: ["www.googletagmanager.com", "/gtag/js"], text: standIn("gtag"),
    tag: `<script>window.dataLayer = window.dataLayer || []; window.collector = "https://www.google-analytics.com"; function gtag() { dataLayer.push(arguments); } gtag("consent", "update", { analytics_storage: "granted" }); gtag("js", new Date()); gtag("config", "G-ACMESHOP01");</script><script async src="https://www.googletagmanager.com/gtag/js?id=G-ACMESHOP01"></script>`,
    order: `gtag("event", "purchase", order)`,
    host: "www.google-analytics.com", path: /^\/g\/collect$/,
    read: (url) => [{ page_view: VIEW, purchase: ORDER }[url.searchParams.get("en")]],
  },
  {
    name: "Meta (stand-in)",
    script: ["connect.facebook.net", "/en_US/fbevents.js"], text: standIn("fbevents"),
    tag: `<script>!function(f,b,e,v,n,t,s){if(f.fbq)return;n=f.fbq=function(){n.callMethod?n.callMethod.apply(n,arguments):n.queue.push(arguments)};f._fbq=n;n.push=n;n.loaded=!0;n.version="2.0";n.queue=[];t=b.createElement(e);t.async=!0;t.src=v;s=b.getElementsByTagName(e)[0];s.parentNode.insertBefore(t,s)}(window,document,"script","https://connect.facebook.net/en_US/fbevents.js"); fbq("init", "1234567890"); fbq("track", "PageView");</script>`,
    order: `fbq("track", "Purchase", order)`,
    host: "www.facebook.com", path: /^\/tr\/?$/,
    read: (url) => [{ PageView: VIEW, Purchase: ORDER }[url.searchParams.get("ev")]],
  },
  {
    name: "Matomo Cloud (stand-in)",
    script: ["cdn.matomo.cloud", "/acmeshop.matomo.cloud/matomo.js"], text: standIn("matomo"),
    tag: `<script>var _paq = window._paq = window._paq || []; _paq.push(["trackPageView"]); _paq.push(["setTrackerUrl", "https://acmeshop.matomo.cloud/matomo.php"]); _paq.push(["setSiteId", "1"]);</script><script async src="https://cdn.matomo.cloud/acmeshop.matomo.cloud/matomo.js"></script>`,
    order: `_paq.push(["trackEcommerceOrder", order.transaction_id, order.value])`,
    host: "acmeshop.matomo.cloud", path: /^\/matomo\.php$/,
    read: (_url, body) => [form(body).has("ec_id") ? ORDER : VIEW],
  },
  {
    name: "Segment",
    script: ["cdn.segment.com", "/analytics.js/v1/wk_acmeshop/analytics.min.js"], text: SCRIPTS["/assets/segment-standalone.js"],
    tag: `<script>!function(){var i="analytics",a=window[i]=window[i]||[];if(!a.initialize){a.invoked=!0;a.methods=["track","page","identify","ready"];a.factory=function(m){return function(){if(window[i].initialized)return window[i][m].apply(window[i],arguments);var s=Array.prototype.slice.call(arguments);s.unshift(m);a.push(s);return a}};a.methods.forEach(function(m){a[m]=a.factory(m)});a._writeKey="wk_acmeshop";a.SNIPPET_VERSION="5.2.0";a.page()}}();</script><script async src="https://cdn.segment.com/analytics.js/v1/wk_acmeshop/analytics.min.js"></script>`,
    order: `analytics.track("Order Completed", order)`,
    host: "api.segment.io", path: /^\/v1\/[a-z]+$/,
    read: (_url, body) => list(json(body)).flatMap((call) => call.batch ?? [call]).map(({ type, event }) => (type === "page" ? VIEW : event === "Order Completed" && ORDER)),
    also: { "cdn.segment.com": { integrations: { "Segment.io": { apiKey: "wk_acmeshop", apiHost: "api.segment.io/v1" } }, plan: {} } },
  },
  {
    name: "PostHog",
    script: ["us-assets.i.posthog.com", "/static/array.js"], text: installed("posthog-js/dist/array.full.no-external.js"),
    tag: `<script>window.posthog = window.posthog || []; posthog._i = []; posthog.__SV = 1; posthog.people = []; posthog.init = (...said) => posthog._i.push([said[0], said[1], "posthog"]); posthog.capture = (...said) => posthog.push(["capture", ...said]); posthog.init("phc_acmeshop", { api_host: "https://us.i.posthog.com", opt_out_useragent_filter: true, autocapture: false, disable_session_recording: true, disable_surveys: true });</script><script async src="https://us-assets.i.posthog.com/static/array.js"></script>`,
    order: `posthog.capture("purchase", order)`,
    host: "us.i.posthog.com", path: /^\/(e|i\/v0\/e)\/$/,
    read: (_url, body) => list(json(body)).flatMap((call) => call.batch ?? [call]).map(({ event }) => ({ $pageview: VIEW, purchase: ORDER })[event]),
  },
  {
    name: "Mixpanel",
    script: ["cdn.mxpnl.com", "/libs/mixpanel-2-latest.min.js"], text: installed("mixpanel-browser/dist/mixpanel.min.js"),
    tag: `<script>window.mixpanel = []; mixpanel.__SV = 1.2; mixpanel._i = []; mixpanel.people = []; mixpanel.init = (...said) => mixpanel._i.push([said[0], said[1], "mixpanel"]); mixpanel.track = (...said) => mixpanel.push(["track", ...said]); mixpanel.init("mp_acmeshop", { track_pageview: true, batch_flush_interval_ms: 500 });</script><script async src="https://cdn.mxpnl.com/libs/mixpanel-2-latest.min.js"></script>`,
    order: `mixpanel.track("purchase", order)`,
    host: "api-js.mixpanel.com", path: /^\/track\/?$/,
    read: (_url, body) => list(json(body)).map(({ event }) => ({ $mp_web_page_view: VIEW, purchase: ORDER })[event]),
  },
  {
    name: "Amplitude",
    script: ["cdn.amplitude.com", "/libs/analytics-browser-2-min.js.gz"], text: installed("@amplitude/analytics-browser/lib/scripts/amplitude-min.js"),
    tag: `<script src="https://cdn.amplitude.com/libs/analytics-browser-2-min.js.gz"></script><script>window.amplitude?.init?.("amp_acmeshop", { fetchRemoteConfig: false, flushIntervalMillis: 500, autocapture: { pageViews: true, sessions: false, attribution: false, elementInteractions: false, formInteractions: false, fileDownloads: false } });</script>`,
    order: `amplitude.track("purchase", order)`,
    host: "api2.amplitude.com", path: /^\/2\/httpapi$/,
    read: (_url, body) => json(body).events.map(({ event_type: event }) => (event === "purchase" ? ORDER : /page/i.test(event) && VIEW)),
  },
  {
    name: "Plausible",
    script: ["plausible.io", "/js/pa-acmeshop.js"], text: SCRIPTS["/assets/plausible.js"].replace("window.library = ", "window.plausibleLibrary = ").replace(/window\.library\b/g, "window.plausibleLibrary"),
    tag: `<script src="https://plausible.io/js/pa-acmeshop.js"></script><script>window.plausibleLibrary?.init?.({ domain: "acmeshop.com", captureOnLocalhost: true });</script>`,
    order: `plausibleLibrary.track("Purchase", { revenue: { amount: order.value, currency: order.currency } })`,
    host: "plausible.io", path: /^\/api\/event$/,
    read: (_url, body) => [{ pageview: VIEW, Purchase: ORDER }[json(body).n]],
  },
  {
    name: "Umami Cloud",
    script: ["cloud.umami.is", "/script.js"], text: SCRIPTS["/assets/umami.js"],
    tag: `<script src="https://cloud.umami.is/script.js" data-website-id="11111111-2222-4333-8444-555555555555"></script>`,
    order: `umami.track("purchase", order)`,
    host: "cloud.umami.is", path: /^\/api\/send$/,
    read: (_url, body) => [json(body).payload.name ? ORDER : VIEW],
  },
];

/** Every host that a page of theirs asks. */
export const HOSTS = [...new Set(VENDORS.flatMap(({ script: [host], host: receiver }) => [host, receiver]))];

/** Answers as the vendor's host does; `tell(vendor, kind)` hears what was said to a receiver. Answers with false where it is nobody's. */
export function answerAsVendor(asked, url, body, reply, tell) {
  const { host } = url;
  if (!HOSTS.includes(host)) return false;
  const cors = { "access-control-allow-origin": asked.headers.origin ?? "*", "access-control-allow-credentials": "true", "access-control-allow-headers": asked.headers["access-control-request-headers"] ?? "content-type" };
  if (asked.method === "OPTIONS") return reply.writeHead(204, cors).end();
  const script = VENDORS.find(({ script: [at, path] }) => at === host && path === url.pathname);
  if (script) return reply.writeHead(200, { "content-type": "text/javascript; charset=utf-8", ...cors }).end(script.text);
  const vendor = VENDORS.find((one) => one.host === host && one.path.test(url.pathname));
  if (vendor) vendor.read(url, body).filter(Boolean).forEach((kind) => tell(vendor, kind));
  const also = VENDORS.find((one) => one.also?.[host])?.also[host];
  if (/^\/tr/.test(url.pathname)) return reply.writeHead(200, { "content-type": "image/gif", ...cors }).end(Buffer.from("R0lGODlhAQABAAAAACw=", "base64"));
  return reply.writeHead(200, { "content-type": "application/json", ...cors }).end(JSON.stringify(also ?? { code: 200, status: 1 }));
}
