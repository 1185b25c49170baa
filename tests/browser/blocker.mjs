// uBlock Origin's own filter lists, applied to what a browser asks for. It stands in for the extension where the browser does not run that any
// more: the package's is of manifest version 2, which Chromium refuses to install since version 139, whatever the flags.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FiltersEngine, Request } from "@ghostery/adblocker";

/** The directory of the package webext-ublock-origin-chromium. */
const LISTS = "/usr/share/chromium/extensions/ublock-origin/assets";
/** Those that are on when it is installed. */
const ON_BY_DEFAULT = [
  "thirdparties/easylist/easylist.txt",
  "thirdparties/easylist/easyprivacy.txt",
  "thirdparties/urlhaus-filter/urlhaus-filter-online.txt",
  "ublock/badware.min.txt",
  "ublock/filters.min.txt",
  "ublock/privacy.min.txt",
  "ublock/quick-fixes.min.txt",
  "ublock/unbreak.min.txt",
];

/** `Sec-Fetch-Dest` → the lists' word for such a request; what a script fetches or sends as a beacon has none of its own. */
const TYPES = { document: "main_frame", iframe: "sub_frame", script: "script", style: "stylesheet", image: "image", font: "font", audio: "media", video: "media" };

/**
 * Reads the lists, and answers with what says of a request whether they stop it; with nothing where the package is not installed.
 *
 * It is asked where the request arrives, and not in the page: whatever a page has asked for while its requests are being looked at from outside is lost when the page goes,
 * also what the browser would have sent on by itself. One event in a hundred was, on a busy machine, and none without.
 */
export function readLists() {
  const paths = ON_BY_DEFAULT.map((name) => join(LISTS, name));
  if (!paths.every((path) => existsSync(path))) return undefined;
  const engine = FiltersEngine.parse(paths.map((path) => readFileSync(path, "utf8")).join("\n"), { loadCosmeticFilters: false });
  return ({ url, headers }) => {
    const type = TYPES[headers["sec-fetch-dest"]] ?? (headers["sec-fetch-mode"] === "no-cors" ? "ping" : "xhr");
    const address = `https://${headers.host}${url}`;
    return engine.match(Request.fromRawDetails({ url: address, type, sourceUrl: type === "main_frame" ? address : (headers.referer ?? "") })).match;
  };
}
