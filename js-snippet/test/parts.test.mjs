// Consent tools by their own events, what the script watches, a blocker that is respected; and what all of it together keeps to.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { held, kinds, open, QUIET_MS, received, site, until, visit } from "./visit.mjs";

const ALL = readdirSync(new URL("../dist/parts", import.meta.url)).map((name) => name.replace(".js", "")).filter((name) => name !== "shims");
const asking = (parts, stub = "", path = "/page", prepare = undefined) => open(`${path}?parts=${parts}&stub=${encodeURIComponent(stub)}`, prepare);
const events = () => site.messages.flatMap(({ body }) => body.e ?? []);
const lists = () => site.messages.map(({ body }) => body.g);

/** A stand-in for each tool, which says what its documentation says: how it is before an answer, and how it tells of one. */
const TOOLS = {
  cookiebot: {
    before: "window.Cookiebot = { hasResponse: false, consent: { statistics: true, marketing: true } };",
    answer: (analytics, ads) => { Object.assign(Cookiebot, { hasResponse: true, consent: { statistics: analytics, marketing: ads } }); dispatchEvent(new Event(analytics ? "CookiebotOnAccept" : "CookiebotOnDecline")); },
  },
  onetrust: {
    before: `window.OnetrustActiveGroups = ",C0001,C0002,C0004,"; window.OneTrust = { closed: false, IsAlertBoxClosed: () => OneTrust.closed };`,
    answer: (analytics, ads) => { OneTrust.closed = true; OnetrustActiveGroups = `,C0001,${analytics ? "C0002," : ""}${ads ? "C0004," : ""}`; dispatchEvent(new CustomEvent("OneTrustGroupsUpdated")); },
  },
  didomi: {
    before: `window.didomiOnReady = []; window.didomiEventListeners = [];`,
    answer: (analytics, ads) => {
      const status = (names, enabled) => Object.fromEntries(names.map((name) => [name, { enabled }]));
      const purposes = { ...status(["select_basic_ads", "create_ads_profile", "select_personalized_ads", "measure_ad_performance"], ads), ...status(["measure_content_performance", "market_research"], analytics), cookies: { enabled: analytics || ads } };
      window.Didomi = { shouldConsentBeCollected: () => false, getCurrentUserStatus: () => ({ purposes }) };
      didomiOnReady.splice(0).forEach((act) => act(Didomi));
      didomiEventListeners.forEach(({ event, listener }) => event === "consent.changed" && listener());
    },
  },
  axeptio: {
    before: "",
    answer: (analytics, ads) => { window.told ??= []; _axcb.splice(0).forEach((act) => act({ on: (name, listener) => name === "cookies:complete" && told.push(listener) })); told.forEach((listener) => listener({ firsthand: analytics, firsthand_ads: ads, google_analytics: true })); },
  },
  usercentrics: {
    before: `window.dataLayer = [{ event: "consent_status", type: "implicit", Firsthand: true }];`,
    answer: (analytics, ads) => { dataLayer.push({ event: "consent_status", type: "explicit", Firsthand: analytics, "Firsthand Ads": ads }); },
  },
};

for (const [name, { before, answer }] of Object.entries(TOOLS)) {
  test(`${name}: an open banner is no choice, a yes grants by purpose, a no ends it`, async () => {
    const page = await asking(name, before);
    await received(1);
    assert.deepEqual([lists(), await held(page)], [[undefined], 1]);
    await page.evaluate(answer, true, false);
    assert.deepEqual((await received(2))[1].g, ["analytics"]);
    await page.evaluate(answer, true, true);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual((await received(3))[2].g, ["analytics", "ads"]);
    await page.evaluate(answer, false, false);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual((await received(4))[3].g, []);
    assert.deepEqual(page.errors, []);
  });
}

/** Klaro's package asks for the tools that it was built with, which nobody needs here: it is fetched, and not installed. */
const KLARO = "0.7.22";
const KLARO_SHA512 = "NkaFxS4S8160/zH1UQzCSYIIsAtwIDHIkJ7xofCrgRqk14OSY+OJuwCjYyW+q5fmIeF4RvsuBH6brPe2BS9Z0A==";
before(() => {
  const cache = fileURLToPath(new URL("../node_modules/.cache", import.meta.url));
  const file = `${cache}/klaro-${KLARO}.tgz`;
  mkdirSync(cache, { recursive: true });
  if (!existsSync(file)) execFileSync("npm", ["pack", `klaro@${KLARO}`, "--silent", "--pack-destination", cache], { cwd: cache });
  assert.equal(createHash("sha512").update(readFileSync(file)).digest("base64"), KLARO_SHA512, "the package that was looked at");
  writeFileSync(`${cache}/klaro.js`, execFileSync("tar", ["-xzOf", file, "package/dist/klaro-no-css.js"]));
});

/** Tools that npm has, as they are: each set up as its documentation says, with services or categories of the names that ours knows. Answers are clicks. */
const INSTALLED = {
  cookieconsent: {
    script: "/installed/vanilla-cookieconsent/dist/cookieconsent.umd.js",
    setUp: () => CookieConsent.run({
      hideFromBots: false, // this test is one
      categories: { necessary: { enabled: true, readOnly: true }, analytics: {}, ads: {} },
      language: { default: "en", translations: { en: {
        consentModal: { title: "We ask", description: "you", acceptAllBtn: "Yes", acceptNecessaryBtn: "No", showPreferencesBtn: "Choose" },
        preferencesModal: { title: "Choose", acceptAllBtn: "Yes", acceptNecessaryBtn: "No", savePreferencesBtn: "Save", sections: [{ title: "Figures", linkedCategory: "analytics" }, { title: "Ads", linkedCategory: "ads" }] },
      } } },
    }),
    yes: () => document.querySelector('#cc-main [data-role="all"]').click(),
    analytics: () => CookieConsent.acceptCategory(["analytics"]),
    no: () => CookieConsent.acceptCategory([]),
  },
  klaro: {
    script: "/installed/.cache/klaro.js",
    setUp: () => {
      const config = { version: 1, elementID: "klaro", storageMethod: "cookie", mustConsent: false, acceptAll: true, lang: "en", translations: { en: {}, zz: {} }, services: [{ name: "firsthand", purposes: ["figures"] }, { name: "firsthand_ads", purposes: ["ads"] }] };
      klaro.setup(config);
    },
    yes: () => document.querySelector("#klaro .cm-btn-accept-all, #klaro .cm-btn-success").click(),
    analytics: () => { klaro.getManager().updateConsent("firsthand_ads", false); klaro.getManager().saveAndApplyConsents(); },
    no: () => { klaro.getManager().changeAll(false); klaro.getManager().saveAndApplyConsents(); },
  },
  tarteaucitron: {
    script: "/installed/tarteaucitronjs/tarteaucitron.js",
    setUp: () => {
      tarteaucitron.init({ privacyUrl: "", hashtag: "#choices", cookieName: "choices", orientation: "middle", showAlertSmall: false, cookieslist: false, closePopup: false, showIcon: false, adblocker: false, DenyAllCta: true, AcceptAllCta: true, highPrivacy: true, handleBrowserDNTRequest: false, removeCredit: true, moreInfoLink: false, useExternalCss: true, useExternalJs: false, mandatory: false, googleConsentMode: false, partnersList: false });
      const service = (key, type) => { tarteaucitron.services[key] = { key, type, name: key, uri: "", needConsent: true, cookies: [], js() {}, fallback() {} }; };
      const put = () => {
        if (!tarteaucitron.services) return setTimeout(put, 50);
        service("firsthand", "analytic");
        service("firsthand_ads", "ads");
        (tarteaucitron.job = tarteaucitron.job || []).push("firsthand", "firsthand_ads");
      };
      put();
    },
    yes: () => tarteaucitron.userInterface.respondAll(true),
    analytics: () => tarteaucitron.userInterface.respond(document.getElementById("firsthand_adsDenied"), false),
    no: () => tarteaucitron.userInterface.respondAll(false),
  },
};

for (const [name, { script, setUp, yes, analytics, no }] of Object.entries(INSTALLED)) {
  test(`${name} itself, as npm has it: an open banner is no choice, a yes grants, one to analytics alone grants that, a no ends it`, async () => {
    const page = await asking(name);
    await received(1);
    await page.addScriptTag({ url: script });
    await page.evaluate(setUp);
    await pause(1000);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual((await received(2)).map(({ g }) => g), [undefined, undefined], "the banner is open");
    await page.evaluate(yes);
    assert.deepEqual((await received(3))[2].g, ["analytics", "ads"]);
    await page.evaluate(analytics);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual((await received(4))[3].g, ["analytics"]);
    await page.evaluate(no);
    await page.evaluate(() => fpw.event("own"));
    assert.deepEqual((await received(5))[4].g, []);
    assert.deepEqual(page.errors, []);
  });
}

test("a tool's no to advertising stands beside the page's yes to it", async () => {
  const page = await asking("cookiebot", TOOLS.cookiebot.before);
  await received(1);
  await page.evaluate(TOOLS.cookiebot.answer, true, false);
  await received(2);
  await page.evaluate(() => { fpw.consent(["analytics", "ads", "profile"]); fpw.event("own"); });
  assert.deepEqual((await received(3))[2].g, ["analytics", "profile"], "of profiles it does not speak");
});

test("forms are begun and sent, and nobody hears what is in them", async () => {
  const page = await asking("forms");
  await page.evaluate(() => {
    document.body.innerHTML = `<form id="letter" name="news"><input name="id" value="jane"><input name="email"></form>`;
    document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  });
  await page.type("[name=email]", "jane@example.org");
  await page.evaluate(() => document.querySelector("form").requestSubmit());
  await until(() => kinds().length === 3);
  assert.deepEqual(events().map(({ k, d }) => [k, d]).sort(), [["form_start", { form_id: "letter", form_name: "news" }], ["form_submit", { form_id: "letter", form_name: "news" }], ["page_view", undefined]]);
  assert.doesNotMatch(JSON.stringify(events()), /jane/);
});

test("how far a page is read: once, at nine tenths, and anew on the next route", async () => {
  const page = await asking("scroll");
  await page.evaluate(() => { document.body.innerHTML = `<div style="height: 5000px"></div>`; scrollTo(0, 1000); });
  await pause(500);
  assert.deepEqual(kinds(), ["page_view"]);
  const down = async () => { await page.evaluate(() => scrollTo(0, 0)); await pause(400); await page.evaluate(() => scrollTo(0, 5000)); await pause(400); };
  await down();
  await down();
  assert.deepEqual(kinds().filter((kind) => kind === "scroll").length, 1);
  assert.deepEqual(events().find(({ k }) => k === "scroll").d, { percent_scrolled: 90 });
  await page.evaluate(() => history.pushState({}, "", "/page/two"));
  await down();
  assert.deepEqual(kinds().filter((kind) => kind === "scroll").length, 2);
});

test("a page that is not there says so, one that is there does not", async () => {
  await asking("notfound", "", "/page/gone");
  await received(1);
  assert.deepEqual(kinds().sort(), ["not_found", "page_view"]);
  site.messages.length = 0;
  await asking("notfound");
  await received(1);
});

test("the site's own search: the word in the address, at load and on a route", async () => {
  const page = await open("/page?parts=search&q=red%20cups");
  await received(1);
  assert.deepEqual(events().find(({ k }) => k === "view_search_results").d, { search_term: "red cups" });
  await page.evaluate(() => history.pushState({}, "", "/page?keyword=jugs"));
  await received(2);
  assert.deepEqual(events().filter(({ k }) => k === "view_search_results").map(({ d }) => d.search_term), ["red cups", "jugs"]);
});

test("a video is begun, half seen and seen; what is no video, or has no end, is not", async () => {
  const page = await asking("video");
  await page.evaluate(() => {
    const film = document.body.appendChild(document.createElement("video"));
    let at = 0;
    Object.defineProperties(film, { duration: { get: () => 100 }, currentTime: { get: () => at } });
    const say = (type, time) => { at = time; film.dispatchEvent(new Event(type)); };
    say("timeupdate", 1); say("play", 0); say("timeupdate", 10); say("timeupdate", 26); say("timeupdate", 30); say("timeupdate", 99.9); say("ended", 100); say("play", 0);
    document.body.appendChild(document.createElement("audio")).dispatchEvent(new Event("play"));
    document.body.appendChild(document.createElement("video")).dispatchEvent(new Event("play"));
  });
  await received(2);
  assert.deepEqual(events().map(({ k, d }) => [k, d?.video_percent]).sort(), [["page_view", undefined], ["video_complete", 100], ["video_progress", 25], ["video_progress", 75], ["video_start", 0]]);
});

test("web vitals come once, when the page is first hidden", async () => {
  const page = await asking("vitals");
  await received(1);
  await page.evaluate(() => {
    document.body.innerHTML = "<h1>Words</h1>";
    return new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  });
  const hide = () => page.evaluate(() => { Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true }); document.dispatchEvent(new Event("visibilitychange")); });
  await hide();
  await hide();
  await until(() => kinds().includes("web_vitals"));
  await pause(QUIET_MS);
  const vitals = events().filter(({ k }) => k === "web_vitals");
  assert.equal(vitals.length, 1);
  assert.ok(vitals[0].d.ttfb > 0 && Object.keys(vitals[0].d).every((name) => ["lcp", "fcp", "cls", "inp", "ttfb"].includes(name)), JSON.stringify(vitals[0].d));
});

test("an opt-out in one tab is one in the other, at once; taking it back, too", async () => {
  const page = await open("/page");
  const other = await visit.newPage();
  await other.goto(`${site.url}/page`);
  await received(2);
  await page.evaluate(() => fpw.optOut());
  await received(3);
  await other.evaluate(() => { fpw.consent(["analytics"]); fpw.event("own"); });
  await received(3);
  assert.equal(await held(other), 0);
  await page.evaluate(() => fpw.optIn());
  await received(4);
  await other.evaluate(() => fpw.event("own"));
  assert.deepEqual((await received(5))[4].g, ["analytics"], "what was agreed to there is in force again");
});

for (const [how, blocked] of [["stops the bait", true], ["is not there", false]]) {
  test(`where blockers are respected and one ${how}: ${blocked ? "nothing is sent but an opt-out" : "all goes on as ever"}`, async () => {
    const page = await open("/page?bait", undefined, async (page) => {
      await page.setRequestInterception(true);
      page.on("request", (request) => (blocked && request.url().endsWith("/q/matomo.js") ? request.abort("blockedbyclient") : request.continue()));
    });
    await page.waitForFunction(() => window.fpw?.held);
    await page.evaluate(() => { fpw.event("own"); fpw.consent(["analytics"]); fpw.event("own"); });
    await pause(QUIET_MS);
    if (!blocked) return assert.ok(kinds().includes("own"));
    assert.deepEqual([site.messages.length, await held(page)], [0, 0]);
    await page.evaluate(() => fpw.optOut());
    assert.equal((await received(1))[0].o, 1);
    assert.deepEqual(page.errors, []);
  });
}

test("on a page as strict as can be, all parts run, and nothing is violated", async () => {
  const stub = `window.violations = []; document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective)); window.dataLayer = [["config", "G-1"]]; window._paq = [["trackPageView"]];`;
  const page = await asking(ALL, stub, "/page/strict");
  await page.evaluate(() => { fpw.event("own"); analytics.track("Own two"); });
  await until(() => kinds().includes("own_two"));
  assert.deepEqual(await page.evaluate(() => violations), []);
  assert.deepEqual(page.errors, []);
  // The control: this page does forbid what it says.
  const forbidden = await page.evaluate(() => { try { document.body.innerHTML = "<b>x</b>"; return false; } catch { return true; } });
  assert.equal(forbidden, true);
});

test("with all parts, no storage and no cookie is touched, and nothing that fingerprints is asked", async () => {
  const page = await asking(ALL, "", "/page", () => {
    window.touched = [];
    const watch = (object, name) => {
      const own = object && Object.getOwnPropertyDescriptor(object, name);
      if (!own?.configurable) return;
      const note = () => touched.push(name);
      Object.defineProperty(object, name, own.value ? { ...own, value(...all) { note(); return own.value.apply(this, all); } } : { ...own, get() { note(); return own.get.call(this); } });
    };
    for (const name of ["sessionStorage", "indexedDB", "caches"]) watch(window, name);
    for (const name of ["getItem", "setItem", "key", "clear"]) watch(Storage.prototype, name);
    watch(Document.prototype, "cookie");
    for (const name of ["plugins", "mimeTypes", "hardwareConcurrency", "deviceMemory", "maxTouchPoints", "userAgentData", "userAgent", "platform", "languages", "connection", "getBattery", "mediaDevices"]) watch(Navigator.prototype, name);
    for (const name of ["width", "height", "availWidth", "colorDepth", "pixelDepth"]) watch(Screen.prototype, name);
    for (const name of ["toDataURL", "toBlob", "getContext"]) watch(HTMLCanvasElement.prototype, name);
    watch(Intl.DateTimeFormat.prototype, "resolvedOptions");
    watch(Date.prototype, "getTimezoneOffset");
    for (const name of ["AudioContext", "OfflineAudioContext", "RTCPeerConnection", "speechSynthesis"]) watch(window, name);
    watch(Document.prototype, "fonts");
  });
  await page.evaluate(() => { fpw.event("own"); fpw.consent(["analytics"]); fpw.event("own"); gtag("config", "G-1"); fbq("track", "Lead"); });
  await until(() => kinds().includes("generate_lead"));
  await pause(QUIET_MS);
  assert.deepEqual(await page.evaluate(() => touched), []);
  await page.evaluate(() => { document.cookie; navigator.plugins; });
  assert.deepEqual(await page.evaluate(() => touched), ["cookie", "plugins"], "the control");
});

/** Of so many page loads, the one in the middle counts: this machine does other things, too. */
const LOADS = 15;
/** The most that the script may take of the page's main thread while the page loads, in ms of that thread's own time. */
const LOAD_MS_MAX = 1;
/** And of its tasks after that, in moments in which the page has nothing else to do, all together; a long task begins at 50 ms. */
const LATER_MS_MAX = 10;
/** In a process that has just begun, where nothing is compiled and nothing of the browser's is there yet: while the page loads. */
const FIRST_MS_MAX = 4;

/** What the script took of the main thread at one opening of a page: while the page loaded (compiling, running), and in all its tasks after that. */
async function cost(page, opening) {
  await page.tracing.start({ categories: ["devtools.timeline", "v8", "disabled-by-default-v8.compile"] });
  await opening();
  await pause(150);
  const { traceEvents } = JSON.parse(Buffer.from(await page.tracing.stop()).toString());
  const ours = (named) => traceEvents.filter(({ name, args }) => name === named && (args?.data?.url ?? args?.fileName ?? "").includes("/q/core."));
  // Time of this thread alone, where the trace has it: others' work is not ours.
  const ms = ({ tdur, dur }) => (tdur ?? dur) / 1000;
  const [run] = ours("EvaluateScript");
  const later = ours("FunctionCall").filter(({ ts }) => ts > run?.ts + run?.dur).map(ms);
  assert.ok(run && later.length, "the trace says how long the script ran, and that it went on later");
  return { load: ms(run), later: later.reduce((sum, one) => sum + one, 0), longest: Math.max(...later) };
}
const middle = (costs, of) => costs.map((cost) => cost[of]).sort((one, other) => one - other)[costs.length >> 1];

for (const [what, parts] of [["the core", []], ["the core with a shim", ["gtag"]], ["all parts", ALL]]) {
  test(`what ${what} costs a page: less than a millisecond of its main thread at load, no long task, no layout shift`, async () => {
    const page = await asking(parts, `window.found = []; for (const type of ["longtask", "layout-shift"]) new PerformanceObserver((list) => list.getEntries().forEach((entry) => found.push([entry.entryType, entry.duration || entry.value]))).observe({ type, buffered: true });`);
    const costs = [];
    for (let load = 0; load < LOADS; load += 1) costs.push(await cost(page, () => page.reload()));
    const [load, later, longest] = ["load", "later", "longest"].map((of) => middle(costs, of));
    console.log(`# ${what}: ${load.toFixed(2)} ms at load on the main thread (${Math.min(...costs.map(({ load }) => load)).toFixed(2)} to ${Math.max(...costs.map(({ load }) => load)).toFixed(2)}), ${later.toFixed(2)} ms later when it is idle, the longest of these ${longest.toFixed(2)} ms; the middle of ${LOADS}`);
    assert.ok(load < LOAD_MS_MAX, `${load} ms at load`);
    assert.ok(later < LATER_MS_MAX, `${later} ms later`);
    assert.deepEqual((await page.evaluate(() => found)).filter(([type]) => type === "layout-shift"), []);
  });
}

test("what the core costs the first page of a new process", async () => {
  await open("/elsewhere");
  const browser = visit.browser();
  const costs = [];
  for (let load = 0; load < 7; load += 1) {
    const visitor = await browser.createBrowserContext();
    const page = await visitor.newPage();
    costs.push(await cost(page, () => page.goto(`${site.url}/page`)));
    await visitor.close();
  }
  const [load, later] = ["load", "later"].map((of) => middle(costs, of));
  console.log(`# the core, on the first page of a new process: ${load.toFixed(2)} ms at load on the main thread, ${later.toFixed(2)} ms later when it is idle; the middle of 7`);
  assert.ok(load < FIRST_MS_MAX, `${load} ms`);
});
