// Umami's `umami.track` and `umami.identify`, and elements with `data-umami-event`.
import type { Shims } from "./shims";

const umami = ({ page, on, safely, tag, identify, event, view, automatic, canonical, properties, uncovered }: Shims): void => {
  const named = (said: unknown, data?: unknown): void => {
    const [name, product] = canonical(said);
    event("umami", name, properties(data, product));
  };
  const track = safely((said?: any, data?: unknown): void => {
    const told = typeof said === "function" ? said({ hostname: location.hostname, url: location.pathname + location.search, title: document.title, referrer: document.referrer, language: navigator.language }) : said;
    if (typeof told === "string") return named(told, data);
    const { name, data: own, url, title, referrer } = told ?? {};
    if (name) return named(name, own);
    const place: Record<string, string> = {};
    if (url) place.p = new URL(url, location.href).href;
    if (title) place.n = String(title);
    if (referrer) place.r = String(referrer);
    view("umami", properties(own), place);
  });
  page.umami = {
    track,
    identify: safely((said?: unknown, data?: unknown): void => {
      if (typeof said !== "object") identify(said);
      if (data ?? typeof said === "object") uncovered("umami", "identify data");
      event("umami", "identify");
    }),
  };
  on(document, "click", ({ target }) => {
    const element = (target as Element).closest?.("[data-umami-event]") as HTMLElement | null;
    if (!element) return;
    const data: Record<string, string> = {};
    for (const { name, value } of element.attributes) if (name.startsWith("data-umami-event-")) data[name.slice("data-umami-event-".length)] = value;
    named(element.dataset.umamiEvent, data);
  });
  if (tag.autoTrack === "false") return;
  automatic("umami", true);
  view("umami");
};
export default umami;
