// Begins: who is followed, what was called before, the first page view; and what is done with what the page hears of.
import { browserObjects, consent, decide, fallSilent, forgetChoice, gpc, heldCount, object } from "./consent";
import { core } from "./core";
import { ask, followGpp, followMode, followTcf } from "./follow";
import { clicked } from "./links";
import { optIn, optOut } from "./opt";
import { safely } from "./safely";
import { calm, forgetAll, hurry } from "./send";
import { type Hear, config, loaded, tag } from "./settings";
import { storing } from "./storage";
import { listen, listenNoMore } from "./tabs";
import { ticket } from "./ticket";
import { end, look, moved, opened, returned, view } from "./views";
import { identify } from "./wire";

/** Put in by the server: what the site's documents ask for beside the core. */
declare const __FIRSTHAND_PARTS__: ((before: any) => any)[];

/** Whose word counts beside the page's: by default a consent tool's, since it speaks for the visitor and for this site alone. */
const follow = tag.follow ?? "tcf gpp";

const calls: Record<string, (...said: any[]) => void> = { consent, event: core.happened, identify, page: () => view(), optOut, optIn };
/** What is no call throws, and is passed over. */
const run = safely(([name, ...said]: any) => calls[name]!(...said));
const isEvent = (call: any): boolean => /^(event|page)$/.test(call?.[0]);

/** What is done with what is heard; before a blocker has been asked for, nothing. */
const heard: Record<string, (event: any) => unknown> = { held: heldCount, ticket };

const start = safely((): void => {
  const early = loaded.calls.splice(0);
  loaded.calls.push = (...said) => said.forEach(run) as any;

  listen();
  if (browserObjects) object({ g: [] });
  if (follow.includes("tcf")) ask(followTcf);
  if (follow.includes("gpp")) ask(followGpp);
  if (follow.includes("gcm")) ask(followMode);
  // A choice that the site already knows, and who is visiting, come before the page view that they are about; what happened on the page comes after it.
  early.filter((call) => !isEvent(call)).forEach(run);
  // Not before: a yes that is known already is not to be ended by the browser's no.
  if (gpc) decide();
  look(loaded.since);
  let before: any = core;
  for (const part of __FIRSTHAND_PARTS__) safely(() => (before = part(before) ?? before))();
  safely(opened)();
  early.filter(isEvent).forEach(run);

  Object.assign(heard, {
    click: clicked,
    auxclick: clicked,
    popstate: () => setTimeout(moved), // a router sets the title after it has pushed
    online: hurry,
    visibilitychange() {
      if (document.visibilityState === "visible") look();
      else end(true);
    },
    pagehide({ persisted }: PageTransitionEvent) {
      end(storing);
      if (!persisted) return;
      // The page may come back hours later, when the visitor has chosen otherwise on another one: the site says the choice again then.
      calm();
      forgetAll();
      forgetChoice();
      listenNoMore();
    },
    pageshow({ persisted }: PageTransitionEvent) {
      if (!persisted) return;
      listen();
      returned();
    },
  });
});

// Where the site asks for it: a request that blockers stop. Whoever has one gets the page's functions, and nothing is sent.
if (config.b) fetch(config.b, { cache: "no-store" }).catch(fallSilent).then(start);
else start();

export default ((event) => heard[event.type]?.(event)) as Hear;
