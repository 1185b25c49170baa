// Plausible's `plausible()`.
import type { Shims } from "./shims";

/** Plausible's own names, as src/protocol/plausible.rs has them. */
const NAMES: Record<string, string> = {
  pageview: "page_view",
  engagement: "user_engagement",
  "Outbound Link: Click": "click",
  "File Download": "file_download",
  "Form: Submission": "form_submit",
};

const plausible = ({ page, safely, tag, event, view, automatic, canonical, properties, uncovered, callBack }: Shims): void => {
  const called = safely((said?: unknown, options?: any): void => {
    const [name, product] = NAMES[String(said)] ? [NAMES[String(said)]!, false] : canonical(said);
    const { amount, currency } = options?.revenue ?? {};
    const told = properties(options?.props, product);
    if (amount != null && currency != null) (told.value = amount), (told.currency = currency);
    const address = options?.u ?? options?.url;
    const place = address ? { p: String(address) } : undefined;
    if (name === "page_view") view("plausible", told, place);
    else event("plausible", name, told, place);
    callBack(options?.callback);
  });
  const { q: waiting = [], o: settings } = page.plausible ?? {};
  page.plausible = called;
  page.plausible.init = (options?: any): void => options?.transformRequest && uncovered("plausible", "init transformRequest");
  page.plausible.init(settings);
  if (settings?.autoCapturePageviews !== false && tag.manual === undefined) {
    automatic("plausible", true);
    view("plausible");
  }
  waiting.forEach((said: any) => called(...Array.prototype.slice.call(said)));
};
export default plausible;
