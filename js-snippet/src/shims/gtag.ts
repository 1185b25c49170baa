// Google's tag and Tag Manager: `gtag()`, and what is put in `dataLayer`.
import type { WireEvent } from "../core";
import type { Shims } from "./shims";

/** Parameters of an event that say where it goes or when it is over, and nothing of what happened. */
const OF_THE_CALL = /^(send_to|event_callback|event_timeout|groups|non_interaction|transport_type|transport_url|debug_mode|send_page_view|page_(location|title|referrer)|client_id|allow_\w+|cookie_\w+|linker|url_passthrough|ads_data_redaction|user_properties|user_data|server_container_url)$/;

const gtag = ({ page, readList, readMode, identify, event, view, automatic, uncovered, callBack }: Shims): void => {
  /** What `set` and `config` say of every event after them. */
  let always: Record<string, any> = {};
  let configured = false;

  const split = (said: any): [Record<string, any>, Partial<WireEvent>] => {
    const all = { ...always, ...said };
    const place: Partial<WireEvent> = {};
    if (all.page_location) place.p = String(all.page_location);
    if (all.page_title) place.n = String(all.page_title);
    if (all.page_referrer) place.r = String(all.page_referrer);
    for (const name of Object.keys(all)) if (OF_THE_CALL.test(name)) delete all[name];
    return [all, place];
  };
  const tell = (name: string, said: any): void => {
    const [properties, place] = split(said);
    if (name === "page_view") view("gtag", properties, place);
    else event("gtag", name, properties, place);
    callBack(said?.event_callback);
  };
  const set = (said: any): void => {
    if (said?.user_properties) uncovered("gtag", "set user_properties");
    if (said?.user_data) uncovered("gtag", "set user_data");
    if (said && "user_id" in said) identify(said.user_id);
    always = { ...always, ...said };
    delete always.user_id;
  };
  const open = (said: any): void => {
    if (configured) return; // further ids are further receivers of the same page
    configured = true;
    if (said?.send_page_view === false) return;
    automatic("gtag", true);
    const [properties, place] = split({});
    view("gtag", properties, place);
  };

  const commands: Record<string, (...said: any[]) => void> = {
    js: () => {},
    consent: (...said) => readMode(["consent", ...said]),
    config(id, said) {
      // Ids of Google Ads and Floodlight open no page.
      if (!/^(G|GT)-/.test(String(id))) return;
      set(said);
      open(said);
    },
    set(name, value) {
      set(typeof name === "string" ? { [name]: value } : name);
    },
    event: (name, said) => tell(String(name), said),
    get(_id, _name, answer) {
      uncovered("gtag", "get");
      callBack(answer);
    },
  };

  /** An entry of Tag Manager's: an object. What it says of a shop is GA4's, under `ecommerce`. */
  const pushed = (entry: any): void => {
    const { event: name, ecommerce, eventCallback, eventTimeout: _, ...others } = entry;
    if (name === "gtm.js") return open({});
    if (typeof name !== "string" || name.startsWith("gtm.")) return;
    if (ecommerce && ["purchase", "detail", "add", "remove", "checkout", "refund", "impressions", "click"].some((each) => ecommerce[each])) {
      uncovered("gtag", "universal ecommerce");
    } else {
      tell(name, { ...others, ...ecommerce });
    }
    callBack(eventCallback);
  };

  readList((page.dataLayer ??= []), (entry) => {
    if (!entry || typeof entry === "function") return;
    if (typeof entry[0] !== "string") return pushed(entry);
    const command = commands[entry[0]];
    if (command) command(...Array.prototype.slice.call(entry, 1));
    else uncovered("gtag", "other");
  });
  page.gtag ??= function () {
    page.dataLayer.push(arguments);
  };
};
export default gtag;
