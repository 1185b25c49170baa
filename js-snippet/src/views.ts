// Page views and routes, and how long each was in sight.
import { record } from "./consent";
import { again, timer } from "./send";
import { safely } from "./safely";
import { type WireEvent, eventOf } from "./wire";

/** A glimpse is no visit. */
const ENGAGED_MS_MIN = 1000;

export let referrer = document.referrer;
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

export const look = (since = performance.now()): void => {
  visibleSince = document.visibilityState === "visible" ? since : -1;
};

/**
 * The page, or one of its routes, is left: how long it was in sight.
 *
 * Firefox may end this listener in the middle (see `queues`): the next one (visibilitychange comes after pagehide) begins again, with the same event.
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

/** `kept`: what waits during a pause need not be sent now. */
export const end = (kept: boolean): void => {
  leave();
  if (!timer || !kept) again(true);
};

export const moved = safely((): void => {
  const now = location.href;
  if (now.split("#")[0] === href.split("#")[0]) return;
  leave();
  engagedMs = 0;
  look();
  referrer = href;
  href = now;
  opened();
});

/** The page came back from the back/forward cache. */
export const returned = (): void => {
  engagedMs = 0;
  look();
  referrer = href = location.href;
  opened();
};
