// The browsers of the matrix: each with a profile of its own, behind the web's proxy. A browser or blocker that is not there throws LeftOut.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { readLists } from "./blocker.mjs";
import { FLAGS } from "./chromium.mjs";
import { TRACKER } from "./web.mjs";

/** Why a part of the matrix cannot run on this machine. */
export class LeftOut extends Error {}

const FIREFOX_BLOCKER = "/usr/share/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}/uBlock0@raymondhill.net";
/** Each step of a browser, on a slow machine that has other things to do. */
const STEP_MS_MAX = 120_000;

const found = (name, paths, from) => {
  const path = [process.env[name], ...paths].find((each) => each && existsSync(each));
  if (!path) throw new LeftOut(`not installed: the package ${from} has it`);
  return path;
};

/** In each page of a browser of which the test hides that it says Do Not Track. Its header is on pages and scripts alone, not on what a script sends. */
const hideDoNotTrack = () => Object.defineProperty(Navigator.prototype, "doNotTrack", { get: () => "unspecified" });

async function launch(options, inEachPage) {
  const profile = mkdtempSync(join(tmpdir(), "browser-"));
  const browser = await puppeteer.launch({ headless: true, userDataDir: profile, acceptInsecureCerts: true, timeout: STEP_MS_MAX, ...options });
  return {
    browser,
    async newPage(visitor) {
      const page = await visitor.newPage();
      page.setDefaultTimeout(STEP_MS_MAX);
      if (inEachPage) await page.evaluateOnNewDocument(inEachPage);
      return page;
    },
    async stop() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function chromium(hosts, { lists }) {
  const executablePath = found("CHROMIUM", ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"], "chromium");
  const stops = lists && readLists();
  if (lists && !stops) throw new LeftOut("not installed: the package webext-ublock-origin-chromium has the lists");
  const started = await launch({ executablePath, args: [...FLAGS, `--proxy-server=127.0.0.1:${hosts.proxy}`] });
  hosts.stops = stops;
  const stop = async () => {
    await started.stop();
    hosts.stops = undefined;
  };
  return { ...started, stop };
}

async function firefox({ proxy }, { blocker, strict, objects, listed, silent }) {
  const executablePath = found("FIREFOX", ["/usr/bin/firefox-esr", "/usr/bin/firefox"], "firefox-esr");
  const path = blocker && found("", [FIREFOX_BLOCKER], "webext-ublock-origin-firefox");
  const extraPrefsFirefox = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": proxy,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": proxy,
    "network.proxy.no_proxies_on": "",
    "browser.contentblocking.category": strict ? "strict" : "standard",
    "privacy.trackingprotection.enabled": !!strict,
    "privacy.trackingprotection.emailtracking.enabled": !!strict,
    "privacy.trackingprotection.socialtracking.enabled": !!strict,
    // Its lists come by the network, which is not there: the protection is the real one, with a list of our own.
    ...(strict && { "urlclassifier.trackingTable.testEntries": listed.join(",") }),
    "privacy.query_stripping.enabled": !!strict,
    "privacy.globalprivacycontrol.enabled": !!objects,
    "privacy.globalprivacycontrol.functionality.enabled": true,
  };
  const started = await launch({ browser: "firefox", executablePath, extraPrefsFirefox }, silent && hideDoNotTrack);
  if (path) await started.browser.installExtension(path);
  return started;
}

/** Each: its name, how to start it behind the proxy of these hosts (where its protection needs a list: with these names on it), and whether it keeps a listed tracker away, which is how the test sees that the protection is on. */
export const BROWSERS = [
  { name: "Chromium", start: (hosts) => chromium(hosts, {}), protects: false },
  { name: "Chromium with uBlock Origin's lists", start: (hosts) => chromium(hosts, { lists: true }), protects: true },
  { name: "Firefox", start: (hosts) => firefox(hosts, {}), protects: false },
  // Firefox up to some version between 140 and 153 says Do Not Track with it, which is an objection: what its protection does on the network is seen apart from that.
  { name: "Firefox with strict tracking protection", start: (hosts, listed = [TRACKER]) => firefox(hosts, { strict: true, listed, silent: true }), protects: true },
  { name: "Firefox with uBlock Origin", start: (hosts) => firefox(hosts, { blocker: true }), protects: true },
];
/** Browsers that object by themselves, where they do: Firefox has a setting for one signal and couples the other to its protection in some versions; Chromium has none. */
export const OBJECTING = [
  { name: "Firefox with Global Privacy Control", start: (hosts) => firefox(hosts, { objects: true }), objects: () => navigator.globalPrivacyControl === true },
  { name: "Firefox with strict tracking protection that says Do Not Track", start: (hosts) => firefox(hosts, { strict: true, listed: [TRACKER] }), objects: () => navigator.doNotTrack === "1", coupled: true },
];
