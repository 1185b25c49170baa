// The libraries under test, as npm has them: bundled as a site's own build would, and, where a library comes with a build of its own, that.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));

/** A script that imports these names and puts them where a page finds them. */
function bundled(names) {
  const imports = Object.entries(names).map(([from, imported]) => `import { ${imported} } from ${JSON.stringify(from)};`).join("\n");
  const contents = `${imports}\nwindow.library = { ${Object.values(names).join(", ")} };`;
  const { outputFiles } = buildSync({ stdin: { contents, resolveDir: here }, bundle: true, write: false, format: "iife", target: "es2020", logLevel: "error" });
  return outputFiles[0].text;
}

/** The whole of one library, as `window.library`. */
const whole = (name) => {
  const contents = `import * as all from ${JSON.stringify(name)};\nwindow.library = all;`;
  return buildSync({ stdin: { contents, resolveDir: here }, bundle: true, write: false, format: "iife", target: "es2020", logLevel: "error" }).outputFiles[0].text;
};

/** Umami's tracker is in the package of the whole application, which nobody needs here: the package is fetched, and not installed. */
export const UMAMI = "2.10.0";
const UMAMI_SHA512 = "+lmrnV0751R6U2rkIgVAlE1nWI7yZawlMlJDguW9tlFacCKhnGeCyc7tCMIhNNYIiGIQy4DEX5IzJhm4b3+dPA==";
function umamisTracker() {
  const cache = join(here, "node_modules/.cache");
  const file = join(cache, `umami-${UMAMI}.tgz`);
  mkdirSync(cache, { recursive: true });
  if (!existsSync(file)) execFileSync("npm", ["pack", `umami@${UMAMI}`, "--silent", "--pack-destination", cache], { cwd: cache });
  const hash = createHash("sha512").update(readFileSync(file)).digest("base64");
  if (hash !== UMAMI_SHA512) throw new Error(`${file} is not the package that was looked at`);
  return execFileSync("tar", ["-xzOf", file, "package/src/tracker/index.js"], { encoding: "utf8" });
}

/** The scripts that the shop's web server has, by path. */
export const SCRIPTS = {
  "/assets/segment.js": bundled({ "@segment/analytics-next": "AnalyticsBrowser", "@segment/analytics-consent-tools": "createWrapper" }),
  // What Segment's snippet loads from its CDN.
  "/assets/segment-standalone.js": readFileSync(join(dirname(require.resolve("@segment/analytics-next/package.json")), "dist/umd/standalone.js"), "utf8"),
  "/assets/stand-in-gtag.js": readFileSync(join(here, "swap/stand-in-gtag.js"), "utf8"),
  "/assets/stand-in-matomo.js": readFileSync(join(here, "swap/stand-in-matomo.js"), "utf8"),
  "/assets/plausible.js": whole("@plausible-analytics/tracker"),
  "/assets/posthog.js": whole("posthog-js"),
  "/assets/mixpanel.js": whole("mixpanel-browser"),
  "/assets/amplitude.js": whole("@amplitude/analytics-browser"),
  "/assets/snowplow.js": whole("@snowplow/browser-tracker"),
  "/assets/countly.js": whole("countly-sdk-web"),
  "/assets/jitsu.js": whole("@jitsu/js"),
  "/assets/umami.js": umamisTracker(),
  // The build that holds its plugins: the other one fetches them from its vendor.
  "/assets/rudderstack.js": whole("@rudderstack/analytics-js/bundled"),
  "/assets/ga4.js": bundled({ "@minimal-analytics/ga4": "track" }),
  "/assets/ga4-own-build.js": readFileSync(require.resolve("@minimal-analytics/ga4"), "utf8"),
};
