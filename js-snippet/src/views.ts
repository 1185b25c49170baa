// Page views and routes, and how long each was in sight.
import { record } from "./consent";
import { flush } from "./send";
import { safely } from "./safely";
import { type WireEvent, eventOf } from "./wire";

/** A glimpse is no visit. */
const ENGAGED_MS_MIN = 1000;

export let referrer = document.referrer;
let path = location.pathname + location.search;
let href = location.href;
let title = document.title;
let visibleSince = -1;
let engagedMs = 0;
/** The event of the page that is being left, until it is handed over. */
let left: WireEvent | undefined;
/** What is done at load and when the history has moved; a part may have its own idea of it. */
let whenOpened = (): void => view();

export const view = (place?: Partial<WireEvent>, properties?: object): void => {
  title = document.title;
  record(eventOf("page_view", properties as any, place));
};

/** What parts do at load and at each route, beside that. */
const routeActs: (() => void)[] = [];

export const opened = (): void => {
  whenOpened();
  routeActs.forEach((act) => act());
};
export const atRoute = (act: () => void): void => {
  routeActs.push(safely(act));
};
export const atOpening = (act: () => void): void => {
  whenOpened = act;
};

export const look = (): void => {
  visibleSince = document.visibilityState === "visible" ? performance.now() : -1;
};

/**
 * The page, or one of its routes, is left: how long it was in sight.
 *
 * While a tab closes, Firefox often ends the first listener that loops or calls JSON.stringify, wherever it is, and no `catch` sees that. So
 * what is to be sent stays where it is until it has been handed over, and the next listener (visibilitychange comes after pagehide)
 * begins again, under the same id.
 */
const leave = (): void => {
  if (visibleSince >= 0) engagedMs += performance.now() - visibleSince;
  visibleSince = -1;
  if (engagedMs >= ENGAGED_MS_MIN) {
    left = eventOf("user_engagement", { engagement_ms: Math.round(engagedMs) }, { p: href, n: title });
    engagedMs = 0;
  }
  if (left) record(left);
  left = undefined;
};

export const end = (): void => {
  leave();
  flush(); // what still waits for the first answer would be lost with the page
};

export const moved = safely((): void => {
  const now = location.pathname + location.search;
  if (now === path) return;
  leave();
  engagedMs = 0;
  look();
  path = now;
  referrer = href;
  href = location.href;
  opened();
});

/** The page came back from the back/forward cache. */
export const returned = (): void => {
  engagedMs = 0;
  look();
  referrer = href = location.href;
  path = location.pathname + location.search;
  opened();
};
