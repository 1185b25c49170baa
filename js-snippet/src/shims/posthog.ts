// PostHog's `posthog.capture` and what stands beside it, as its snippet sets it up.
import type { Shims } from "./shims";

/** PostHog's own names, as src/event/vocabulary.rs has them. */
const NAMES: Record<string, string> = {
  $pageview: "page_view",
  $screen: "screen_view",
  $pageleave: "user_engagement",
  $identify: "identify",
  $groupidentify: "group",
  $set: "identify",
};
/** What its methods are counted as, where they are not covered. */
const COUNTED: [RegExp, string][] = [
  [/feature|flag|earlyAccess/i, "feature flags"],
  [/survey/i, "surveys"],
  [/recording/i, "session recording"],
  [/person|people|set_once/i, "person properties"],
  [/group/i, "group"],
];

const posthog = ({ takeStub, word, hold, identify, optOut, optIn, event, view, automatic, canonical, properties, uncovered, callBack }: Shims): void => {
  let always: Record<string, unknown> = {};
  let out = false;
  const agree = (): void => {
    if (out) optIn();
    out = false;
    word("posthog", { yes: ["analytics"], of: ["analytics"] });
    hold("posthog", false);
  };
  const methods: Record<string, (...said: any[]) => unknown> = {
    init(_token, settings = {}) {
      if (settings.opt_out_capturing_by_default) hold("posthog", true);
      if (settings.capture_pageview !== false) {
        // Newer settings follow the history, too.
        if (settings.capture_pageview === "history_change" || settings.defaults) automatic("posthog", true);
        view("posthog");
      }
      callBack(settings.loaded && (() => settings.loaded(stub)));
      return stub;
    },
    capture(named, said) {
      const [name, product] = NAMES[String(named)] ? [NAMES[String(named)]!, false] : canonical(named);
      if (name === "page_view") view("posthog", properties({ ...always, ...said }), said?.$current_url ? { p: String(said.$current_url) } : undefined);
      else event("posthog", name, properties({ ...always, ...said }, product));
    },
    identify(id, ...traits) {
      identify(id);
      if (traits.some((each) => each)) uncovered("posthog", "person properties");
      event("posthog", "identify");
    },
    alias: () => {},
    reset() {
      identify();
      always = {};
    },
    register(said) {
      always = { ...always, ...said };
    },
    register_once(said) {
      always = { ...said, ...always };
    },
    unregister(name) {
      delete always[name];
    },
    set_config: () => {},
    debug: () => {},
    opt_in_capturing: agree,
    opt_out_capturing() {
      out = true;
      optOut();
    },
    has_opted_out_capturing: () => out,
    has_opted_in_capturing: () => !out,
    get_distinct_id: () => (uncovered("posthog", "get_distinct_id"), ""),
    isFeatureEnabled: () => (uncovered("posthog", "feature flags"), undefined),
    getFeatureFlag: () => (uncovered("posthog", "feature flags"), undefined),
    onFeatureFlags: () => (uncovered("posthog", "feature flags"), () => {}),
  };
  const counted = (called: string): string => COUNTED.find(([names]) => names.test(called))?.[1] ?? called;
  const { stub, drain } = takeStub("posthog", "posthog", methods, counted);
  stub.people = { set: () => uncovered("posthog", "person properties"), set_once: () => uncovered("posthog", "person properties") };
  (Array.isArray(stub._i) ? stub._i : []).forEach(([token, settings]: any) => stub.init(token, settings));
  drain();
};
export default posthog;
