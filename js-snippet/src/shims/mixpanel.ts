// Mixpanel's `mixpanel.track` and what stands beside it, as its snippet sets it up.
import type { Shims } from "./shims";

/** Mixpanel's own name of a page view, as src/event/vocabulary.rs has it. */
const PAGE_VIEW = "$mp_web_page_view";

const mixpanel = ({ takeStub, on, word, hold, identify, optOut, optIn, event, view, automatic, canonical, properties, uncovered, callBack }: Shims): void => {
  let always: Record<string, unknown> = {};
  let out = false;
  const methods: Record<string, (...said: any[]) => unknown> = {
    init(_token, settings = {}) {
      if (settings.opt_out_tracking_by_default) hold("mixpanel", true);
      if (settings.track_pageview) {
        if (settings.track_pageview !== true) automatic("mixpanel", true); // "url-with-path" and the like follow the history
        view("mixpanel");
      }
      callBack(settings.loaded && (() => settings.loaded(stub)));
      return stub;
    },
    track(named, said, ...rest) {
      if (named === PAGE_VIEW) view("mixpanel", properties({ ...always, ...said }));
      else {
        const [name, product] = canonical(named);
        event("mixpanel", name, properties({ ...always, ...said }, product));
      }
      callBack([said, ...rest].find((each) => typeof each === "function"));
    },
    track_pageview: (said) => view("mixpanel", properties({ ...always, ...said })),
    track_links: (selector, named, said) => follow(selector, "click", named, said),
    track_forms: (selector, named, said) => follow(selector, "submit", named, said),
    register(said) {
      always = { ...always, ...said };
    },
    register_once(said) {
      always = { ...said, ...always };
    },
    unregister(name) {
      delete always[name];
    },
    identify(id) {
      identify(id);
      event("mixpanel", "identify");
    },
    alias: () => {},
    reset() {
      identify();
      always = {};
    },
    disable: () => {},
    set_config: () => {},
    opt_in_tracking() {
      if (out) optIn();
      out = false;
      word("mixpanel", { yes: ["analytics"], of: ["analytics"] });
      hold("mixpanel", false);
    },
    opt_out_tracking() {
      out = true;
      optOut();
    },
    has_opted_out_tracking: () => out,
    has_opted_in_tracking: () => !out,
    get_distinct_id: () => (uncovered("mixpanel", "get_distinct_id"), ""),
    get_group: () => (uncovered("mixpanel", "group"), { set() {}, set_once() {}, union() {}, unset() {}, remove() {}, delete() {} }),
  };
  const follow = (selector: string, kind: string, named: unknown, said?: any): void =>
    on(document, kind, ({ target }) => {
      const element = (target as Element).closest?.(selector);
      if (element) methods.track!(named, typeof said === "function" ? said(element) : said);
    });
  const counted = (called: string): string =>
    /^people\b/.test(called) ? "people" : /group/.test(called) ? "group" : /recording/.test(called) ? "session recording" : called;
  const { stub, drain } = takeStub("mixpanel", "mixpanel", methods, counted);
  const people = stub.people;
  stub.people = {};
  for (const name of ["set", "set_once", "unset", "increment", "append", "union", "remove", "track_charge", "clear_charges", "delete_user", ...Object.keys(people ?? {})]) {
    stub.people[name] = () => uncovered("mixpanel", "people");
  }
  (Array.isArray(stub._i) ? stub._i : []).forEach(([token, settings]: any) => stub.init(token, settings));
  drain();
};
export default mixpanel;
