// The page-view snippet: it sends what happened on a page to the site's own host, and obeys the visitor's choice before anything leaves.
//
// It reads no cookie, and without consent to it writes nothing to the browser: what it remembers rests in this page's memory and ends with
// the page. The choice itself is the site's to remember (its consent banner does); the visitor's id is an HttpOnly cookie that only the
// server sees. Nothing in here may ever throw into the page.
import type { Firsthand } from "./api";
import { browserObjects, consent, decide, fallSilent, forgetChoice, gpc, heldCount, object, record, speakAgain } from "./consent";
import { type Core, core } from "./core";
import { ask, followGpp, followMode, followTcf } from "./follow";
import { clicked } from "./links";
import { on, safely } from "./safely";
import { calm, failed, forgetFailed, hurry, again, post } from "./send";
import { config, page, tag } from "./settings";
import { storing } from "./storage";
import { listen, listenNoMore, tell } from "./tabs";
import { end, look, moved, opened, returned, view } from "./views";
import { eventOf, identify } from "./wire";

/** Put in by the server: what the site's documents ask for beside the core. */
declare const __FIRSTHAND_PARTS__: ((before: any) => any)[];

/** Whose word counts beside the page's: by default a consent tool's, since it speaks for the visitor and for this site alone. */
const follow = tag.follow ?? "tcf gpp";

const calls: Omit<Firsthand, "held" | "push"> = {
  consent,
  event: (name, properties) => record(eventOf(name, properties)),
  identify,
  page: () => view(),
  optOut() {
    fallSilent();
    object({ o: 1 });
    tell(1);
  },
  optIn() {
    void post({ o: 0 });
    speakAgain();
    tell(0);
  },
};
core.optOut = calls.optOut;
core.optIn = calls.optIn;

const run = safely((name: string, parameters: unknown[]) =>
  (calls as unknown as Record<string, (...all: unknown[]) => void>)[name]?.(...parameters),
);

const start = safely((): void => {
  const early = page[config.g] as { held?: unknown } | undefined;
  if (early?.held) return; // the script is on the page twice: the first one counts
  const callsIn = (said: unknown[]) => said.filter(Array.isArray) as [string, ...unknown[]][];
  const stub = Array.isArray(early) ? callsIn(early) : [];
  const api: Record<string, unknown> = {
    held: heldCount,
    push: (...all: unknown[]) => callsIn(all).forEach(([name, ...parameters]) => run(name, parameters)),
  };
  for (const name of Object.keys(calls)) api[name] = (...parameters: unknown[]) => run(name, parameters);
  page[config.g] = api;

  if (browserObjects) object({ g: [] });
  listen();
  if (follow.includes("tcf")) ask(followTcf);
  if (follow.includes("gpp")) ask(followGpp);
  if (follow.includes("gcm")) ask(followMode);
  // A choice that the site already knows, and who is visiting, come before the page view that they are about; what happened on the page comes after it.
  const isEvent = ([name]: [string, ...unknown[]]) => name === "event" || name === "page";
  stub.filter((call) => !isEvent(call)).forEach(([name, ...parameters]) => run(name, parameters));
  // Not before: a yes that is known already is not to be ended by the browser's no.
  if (gpc) decide();
  look();
  let before: Core = core;
  for (const part of __FIRSTHAND_PARTS__) safely(() => (before = part(before) ?? before))();
  safely(opened)();
  stub.filter(isEvent).forEach(([name, ...parameters]) => run(name, parameters));

  const pushState = history.pushState;
  history.pushState = function (...parameters) {
    pushState.apply(this, parameters);
    setTimeout(moved); // a router sets the title after it has pushed
  };
  on(window, "popstate", () => setTimeout(moved));
  on(document, "click auxclick", clicked);
  on(window, "online", hurry);
  on(document, "visibilitychange", () => {
    if (document.visibilityState === "visible") look();
    else end();
  });
  on(window, "pagehide", end);
  on(window, "pagehide", ({ persisted }: PageTransitionEvent) => {
    if (failed.length && !storing) again();
    if (!persisted) return;
    // The page may come back hours later, when the visitor has chosen otherwise on another one: the site says the choice again then.
    calm();
    forgetFailed();
    forgetChoice();
    listenNoMore();
  });
  on(window, "pageshow", ({ persisted }: PageTransitionEvent) => {
    if (!persisted) return;
    listen();
    returned();
  });
});

/** Where the site asks for it: a request that blockers stop. Whoever has one gets the page's functions, and nothing is sent. */
const startUnlessBlocked = (): void => {
  if (!config.b) return start();
  fetch(config.b, { cache: "no-store" }).catch(fallSilent).then(start);
};

// A page that the browser opens in advance is no visit until someone looks at it.
if ((document as Document & { prerendering?: boolean }).prerendering) on(document, "prerenderingchange", startUnlessBlocked);
else startUnlessBlocked();
