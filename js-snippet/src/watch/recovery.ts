// Whether vendors' own tags ran, where the site still has them and measures how often they do not (docs/recovery.md): said once a page, beside an event of a visitor
// who agreed. What is looked at is there only once the vendor's script itself has run; its stub in the page does not make it.
import type { Core } from "../core";

/** A tag may load only after the page and the choice; on a page that is left before, nothing is said of it. */
const PATIENCE_MS = 5000;

const recovery = ({ config, page, on, sayAside }: Core): void => {
  const ran: Record<string, () => unknown> = {
    gtag: () => page.google_tag_manager,
    matomo: () => page.Matomo ?? page.Piwik,
    meta: () => page.fbq.callMethod,
    mixpanel: () => page.mixpanel.__loaded,
    plausible: () => page.plausible.l,
    posthog: () => page.posthog.__loaded,
    segment: () => page.analytics.initialized,
    umami: () => page.umami.track,
  };
  let loaded = document.readyState === "complete" ? Date.now() : Infinity;
  on(window, "load", () => { loaded = Date.now(); });
  let agreed = Infinity;
  let told = false;
  const others = sayAside((yes) => {
    const before = others(yes);
    const now = Date.now();
    if (!yes || told) return before;
    agreed = Math.min(agreed, now);
    if (!(now - Math.max(agreed, loaded) >= PATIENCE_MS)) return before;
    told = true;
    const said = { ...before };
    for (const vendor of config.r ?? []) {
      let there: unknown;
      try {
        there = ran[vendor]!();
      } catch {} // not even its stub is there
      said[`ran.${vendor}`] = there ? 1 : 0;
    }
    return said;
  });
};
export default recovery;
