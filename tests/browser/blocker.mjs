// uBlock Origin's own filter lists, applied to what a page asks for. It stands in for the extension where the browser does not run that any
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

/** Reads the lists, and answers with what puts a page under them; with nothing where the package is not installed. */
export function readLists() {
  const paths = ON_BY_DEFAULT.map((name) => join(LISTS, name));
  if (!paths.every((path) => existsSync(path))) return undefined;
  const engine = FiltersEngine.parse(paths.map((path) => readFileSync(path, "utf8")).join("\n"), { loadCosmeticFilters: false });
  return async (page) => {
    page.on("request", (asked) => {
      const details = { url: asked.url(), type: asked.resourceType(), sourceUrl: asked.isNavigationRequest() ? asked.url() : (asked.frame()?.url() ?? "") };
      const { match } = engine.match(Request.fromRawDetails(details));
      // A page that closes takes its requests out of our hands: they go on.
      (match ? asked.abort("blockedbyclient") : asked.continue()).catch(() => {});
    });
    await page.setRequestInterception(true);
  };
}
