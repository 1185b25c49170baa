// Segment's `analytics.*`, as its snippet sets it up.
import type { Purpose } from "../api";
import type { WireEvent } from "../core";
import type { Shims } from "./shims";

/** Categories of consent tools by their letters and digits alone, as src/protocol/segment/choice.rs has them. The rest that is known there grants nothing. */
const CATEGORIES: Record<string, Purpose | ""> = {};
const list = (purpose: Purpose | "", names: string): void => names.split(" ").forEach((name) => (CATEGORIES[name] = purpose));
list("analytics", "analytics analytical analyticsstorage measurement performance statistics statistical c0002");
list("ads", "advertising ads adstorage marketing targeting c0004");
list("profile", "profile profiling personalization personalisation");
list("", "essential functional functionality necessary preferences required socialmedia strictlynecessary c0001 c0003 c0005");

const segment = ({ takeStub, word, on, identify, event, view, canonical, properties, uncovered, callBack }: Shims): void => {
  let user: unknown;
  /** A call's arguments: the page that Segment's snippet remembers behind them, and the function that wants to hear of the end, taken off. */
  const read = (said: any[]): [any[], Partial<WireEvent>] => {
    const place: Partial<WireEvent> = {};
    const rest = said.filter((each) => {
      if (each?.__t !== "bpc") return true;
      if (each.u || each.c) place.p = String(each.u ?? each.c);
      if (each.t) place.n = String(each.t);
      if (each.r) place.r = String(each.r);
      return false;
    });
    if (typeof rest[rest.length - 1] === "function") callBack(rest.pop());
    for (const each of rest) hear(each?.context?.consent?.categoryPreferences ?? each?.consent?.categoryPreferences);
    return [rest, place];
  };
  const hear = (preferences: unknown): void => {
    if (!preferences || typeof preferences !== "object") return;
    const entries = Object.entries(preferences).map(([name, agreed]) => [CATEGORIES[name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "")], agreed === true] as const);
    word("segment", { yes: entries.flatMap(([purpose, agreed]) => (purpose && agreed ? [purpose] : [])) });
  };
  const answered = (): Promise<object> => Promise.resolve({});
  const objectAt = (said: any[], from: number): any => said.slice(from).find((each) => each && typeof each === "object");
  /** Follows links or forms, and says so as they are used; the browser goes on by itself. */
  const follows = (kind: string) => (elements: any, name: any, said?: any): void => {
    for (const element of elements?.length === undefined || elements.nodeType ? [elements] : elements) {
      on(element, kind, () => methods.track!(typeof name === "function" ? name(element) : name, typeof said === "function" ? said(element) : said));
    }
  };
  const methods: Record<string, (...said: any[]) => unknown> = {
    load: () => {},
    page(...all) {
      const [said, place] = read(all);
      const names = said.filter((each) => typeof each === "string");
      const { url, title, referrer, ...told } = objectAt(said, 0) ?? {};
      if (url) place.p = String(url);
      if (title) place.n = String(title);
      if (referrer) place.r = String(referrer);
      const [category, name] = names.length > 1 ? names : [undefined, names[0]];
      view("segment", properties({ ...told, ...(name && { name }), ...(category && { category }) }), place);
      return answered();
    },
    track(...all) {
      const [[named, said], place] = read(all);
      const [name, product] = canonical(named);
      event("segment", name, properties(said, product), place);
      return answered();
    },
    screen(...all) {
      const [said, place] = read(all);
      event("segment", "screen_view", properties(objectAt(said, 0)), place);
      return answered();
    },
    identify(...all) {
      const [said, place] = read(all);
      if (typeof said[0] !== "object") identify((user = said[0]));
      if (objectAt(said, 0)) uncovered("segment", "traits");
      event("segment", "identify", undefined, place);
      return answered();
    },
    group(...all) {
      uncovered("segment", "group"); // its id and traits
      event("segment", "group", undefined, read(all)[1]);
      return answered();
    },
    alias(...all) {
      event("segment", "alias", undefined, read(all)[1]);
      return answered();
    },
    reset: () => identify((user = undefined)),
    ready: (act) => (callBack(act), answered()),
    user() {
      uncovered("segment", "user");
      return { id: () => user ?? null, anonymousId: () => null, traits: () => ({}) };
    },
    debug: () => {},
    timeout: () => {},
    trackLink: follows("click"),
    trackClick: follows("click"),
    trackForm: follows("submit"),
    trackSubmit: follows("submit"),
  };
  const { stub, drain } = takeStub("segment", "analytics", methods, (called) => (/^(on|once|off)$/.test(called) ? "on" : called));
  stub.initialized = true;
  drain();
};
export default segment;
