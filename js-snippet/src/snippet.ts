// The page-view snippet: it sends what happened on a page to the site's own host, and obeys the visitor's choice before anything leaves.
//
// It reads no cookie, and without consent to it writes nothing to the browser: what it remembers rests in this page's memory and ends with
// the page. The choice itself is the site's to remember (its consent banner does); the visitor's id is an HttpOnly cookie that only the
// server sees. Nothing in here may ever throw into the page.
//
// This file is what runs while the page loads: it takes calls and waits. The core, which the build puts in, is begun when the page has a moment to spare, or at the first event that
// would not wait for it.
import type { Hear, Loaded, Settings } from "./settings";
import { atLeisure, safely } from "./safely";

/** Put in by the server. */
declare const __FIRSTHAND_CONFIG__: Settings;
/** Put in by the build: the core, as a function. It is not even compiled before it is called. */
declare const __FIRSTHAND_CORE__: (loaded: Loaded) => Hear;

const script = document.currentScript;

const load = safely((): void => {
  const config = __FIRSTHAND_CONFIG__;
  const early = (window as any)[config.g];
  if (early?.held) return; // the script is on the page twice: the first one counts
  const loaded: Loaded = { config, script, since: performance.now(), atLeisure, calls: early?.splice ? early : [] };
  let core: Hear;
  const hear: Hear = (event) => (core ??= __FIRSTHAND_CORE__(loaded))(event);
  const hearSafely = safely(hear);
  const held = (): unknown => hear({ type: "held" });

  const api: Record<string, unknown> = ((window as any)[config.g] = {
    held,
    ticket: async () => hear({ type: "ticket" }),
    push: (...calls: unknown[]) => loaded.calls.push(...calls),
  });
  for (const name of "consent event identify page optOut optIn".split(" ")) api[name] = (...said: unknown[]) => loaded.calls.push([name, ...said]);
  // The page's end is heard twice: see `leave`.
  for (const name of "click auxclick visibilitychange pagehide pagehide pageshow popstate online".split(" ")) addEventListener(name, (event) => hearSafely(event), true);
  const { pushState } = history;
  history.pushState = function (...parameters) {
    safely(held)(); // begins, so that the page that is left is viewed first
    pushState.apply(this, parameters);
    hearSafely({ type: "popstate" });
  };
  atLeisure(held);
});

// A page that the browser opens in advance is no visit until someone looks at it.
if ((document as Document & { prerendering?: boolean }).prerendering) addEventListener("prerenderingchange", load, true);
else load();
