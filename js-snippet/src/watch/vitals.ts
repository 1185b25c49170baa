// Web vitals: how fast the page was there and answered, once, when it is first hidden. Only what the browser measures for every page.
import type { Core } from "../core";

/** Layout shifts belong together that are no further apart, within so long in all. */
const SHIFT_GAP_MS = 1000;
const SHIFTS_MS_MAX = 5000;
/** The quickest interaction that browsers tell of. */
const INTERACTION_MS_MIN = 40;

const vitals = ({ on, safely, happened }: Core): void => {
  const found: Record<string, number> = {};
  const watch = (type: string, read: (entry: any) => void): void =>
    safely(() => new PerformanceObserver((list) => list.getEntries().forEach(safely(read))).observe({ type, buffered: true, durationThreshold: INTERACTION_MS_MIN } as object))();
  let sum = 0;
  let first = 0;
  let last = -Infinity;
  watch("largest-contentful-paint", ({ startTime }) => { found.lcp = startTime; });
  watch("paint", ({ name, startTime }) => { if (name === "first-contentful-paint") found.fcp = startTime; });
  watch("event", ({ interactionId, duration }) => { if (interactionId) found.inp = Math.max(found.inp ?? 0, duration); });
  watch("layout-shift", ({ hadRecentInput, value, startTime }) => {
    if (hadRecentInput) return;
    if (startTime - last > SHIFT_GAP_MS || startTime - first > SHIFTS_MS_MAX) (sum = 0), (first = startTime);
    last = startTime;
    sum += value;
    found.cls = Math.max(found.cls ?? 0, sum);
  });
  let told = false;
  on(document, "visibilitychange", () => {
    if (told || document.visibilityState !== "hidden") return;
    told = true;
    const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
    if (navigation) found.ttfb = navigation.responseStart;
    for (const name of Object.keys(found)) found[name] = Math.round(found[name]! * 1000) / 1000;
    happened("web_vitals", found);
  });
};
export default vitals;
