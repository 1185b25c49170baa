// Matomo's `_paq`.
import type { WireEvent } from "../core";
import type { Shims } from "./shims";

/** Commands that say how Matomo's own script works, and change nothing here: ours follows links by itself, sets no cookie of its own and obeys Do Not Track. */
const NOTHING_TO_DO =
  /^(setTrackerUrl|setSiteId|enableLinkTracking|enableHeartBeatTimer|disableCookies|setDoNotTrack|setSecureCookie|setCookie(Domain|Path|SameSite|NamePrefix)|setDomains|requireCookieConsent|setCookieConsentGiven|rememberCookieConsentGiven|forgetCookieConsentGiven|setRequestMethod|setRequestContentType|alwaysUseSendBeacon|disableAlwaysUseSendBeacon|enableJSErrorTracking|disableBrowserFeatureDetection|disablePerformanceTracking|setLinkTrackingTimer|setDownloadExtensions|addDownloadExtensions|discardHashTag|trackLinkInner)$/;
/** What comes before all else in a queue, wherever it stands: it decides whether the rest may be sent, and of whom it is. */
const FIRST = /^(requireConsent|setConsentGiven|rememberConsentGiven|forgetConsentGiven|optUserOut|forgetUserOptOut|setUserId)$/;

type Product = { item_id?: any; item_name?: any; item_category?: any; price?: any; quantity?: any };

const matomo = ({ page, readList, word, hold, identify, optOut, optIn, event, view, canonical, uncovered }: Shims): void => {
  let place: Partial<WireEvent> = {};
  let viewed: Product | undefined;
  let cart: Record<string, Product> = {};
  const items = (): Product[] => Object.values(cart);
  const product = (sku: unknown, name: unknown, category: unknown, price: unknown, quantity?: unknown): Product => ({
    item_id: sku || undefined, item_name: name || undefined, item_category: (Array.isArray(category) ? category[0] : category) || undefined, price, quantity,
  });
  const tell = (name: string, said?: any): void => event("matomo", name, said, place);
  const agreed = (): void => {
    word("matomo", { yes: ["analytics"], of: ["analytics"] });
    hold("matomo", false);
  };
  const content = (name: string, [content_name, content_piece, _target, content_interaction]: any[]): void => tell(name, { content_name, content_piece, content_interaction });

  const commands: Record<string, (...said: any[]) => void> = {
    trackPageView(title) {
      view("matomo", undefined, title ? { ...place, n: String(title) } : place);
      if (viewed) tell("view_item", { value: viewed.price, items: [viewed] });
      viewed = undefined;
    },
    trackEvent(event_category, action, event_label, event_value) {
      tell(canonical(action)[0], { event_category, event_label, event_value });
    },
    trackSiteSearch: (search_term, search_category) => tell("view_search_results", { search_term, search_category: search_category || undefined }),
    trackGoal: (goal, value) => tell("goal", { goal: Number(goal), value }),
    trackLink(address, kind) {
      const { hostname, pathname } = new URL(address, location.href);
      if (kind === "download") tell("file_download", { link_domain: hostname, file_extension: pathname.split(".").pop()!.toLowerCase() });
      else tell("click", { link_domain: hostname, outbound: true });
    },
    setEcommerceView(sku, name, category, price) {
      viewed = sku || name ? product(sku, name, category, price) : undefined;
    },
    addEcommerceItem(sku, name, category, price = 0, quantity = 1) {
      cart[sku] = product(sku, name, category, price, quantity);
    },
    removeEcommerceItem(sku) {
      delete cart[sku];
    },
    clearEcommerceCart() {
      cart = {};
    },
    trackEcommerceCartUpdate: (value) => tell("cart_update", { value, items: items() }),
    trackEcommerceOrder(transaction_id, value, _subtotal, tax, shipping) {
      tell("purchase", { transaction_id, value, tax: tax || undefined, shipping: shipping || undefined, items: items() });
      cart = {};
    },
    trackContentImpression: (...said) => content("content_impression", said),
    trackContentInteraction: (interaction, name, piece, target) => content("content_interaction", [name, piece, target, interaction]),
    ping: () => tell("user_engagement"),
    setUserId: (id) => identify(id),
    resetUserId: () => identify(),
    setCustomUrl(address) {
      place = { ...place, p: new URL(address, location.href).href };
    },
    setReferrerUrl(address) {
      place = { ...place, r: String(address) };
    },
    setDocumentTitle(title) {
      place = { ...place, n: String(title) };
    },
    requireConsent: () => hold("matomo", true),
    setConsentGiven: agreed,
    rememberConsentGiven() {
      uncovered("matomo", "rememberConsentGiven"); // that it is remembered
      agreed();
    },
    forgetConsentGiven: () => word("matomo", { yes: [], of: ["analytics"] }),
    optUserOut: optOut,
    forgetUserOptOut: optIn,
  };
  /** What a function in the queue finds as the tracker. */
  const tracker: Record<string, unknown> = { getVisitorId: () => (uncovered("matomo", "getVisitorId"), ""), isUserOptedOut: () => false, hasRememberedConsent: () => false };
  for (const name of Object.keys(commands)) tracker[name] = commands[name];

  const read = (entry: any): void => {
    const [name, ...said] = entry;
    if (typeof name === "function") name.apply(tracker, said);
    else if (Object.prototype.hasOwnProperty.call(commands, name)) commands[name]!(...said);
    else if (!NOTHING_TO_DO.test(name)) uncovered("matomo", String(name));
  };
  const queue: any[] = (page._paq ??= []);
  const isFirst = (entry: any): boolean => FIRST.test(entry?.[0]);
  const waiting = queue.splice(0);
  // The list is emptied, as Matomo's script does, and read from now on.
  readList(queue, (entry) => read(entry));
  const each = (entry: any): void => {
    try {
      read(entry);
    } catch {}
  };
  waiting.filter(isFirst).forEach(each);
  waiting.filter((entry) => !isFirst(entry)).forEach(each);
};
export default matomo;
