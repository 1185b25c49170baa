// Meta's pixel: `fbq`.
import type { Shims } from "./shims";

/** Meta's standard events that have a name of GA4's, as src/protocol/meta.rs has them. */
const NAMES: Record<string, string> = {
  AddPaymentInfo: "add_payment_info",
  AddToCart: "add_to_cart",
  AddToWishlist: "add_to_wishlist",
  CompleteRegistration: "sign_up",
  InitiateCheckout: "begin_checkout",
  Lead: "generate_lead",
  PageView: "page_view",
  Purchase: "purchase",
  Search: "search",
  ViewContent: "view_item",
  SubmitApplication: "form_submit",
};

const meta = ({ page, safely, word, event, view, automatic, property, uncovered }: Shims): void => {
  const items = ({ contents, content_ids: ids, content_name: name }: any): any => {
    const list: any[] = Array.isArray(contents) && contents.length
      ? contents.map(({ id, quantity, item_price }) => ({ item_id: id, quantity, price: item_price }))
      : [ids].flat().filter((id) => id != null).map((id) => ({ item_id: id }));
    if (list.length === 1) list[0].item_name = name;
    return list.length ? list : undefined;
  };
  const tell = (named: unknown, said: any = {}, options?: any): void => {
    const name = NAMES[String(named)] ?? (property(String(named)) || "custom");
    const { value, currency, order_id: transaction_id, contents: _contents, content_ids: _ids, content_name: _name, ...rest } = said ?? {};
    const others: Record<string, any> = {};
    for (const [key, one] of Object.entries(rest)) others[property(key)] = one;
    const properties = { ...others, value, currency, transaction_id, items: items(said ?? {}) };
    const place = options?.eventID ? { i: String(options.eventID) } : undefined;
    if (name !== "page_view") return event("meta", name, properties, place);
    automatic("meta", true); // Meta's script follows the history from then on
    view("meta", properties, place);
  };
  const ads = (agreed: boolean): void => word("meta", { yes: agreed ? ["ads"] : [], of: ["ads"], soft: true });
  const commands: Record<string, (...said: any[]) => void> = {
    init: (_pixel, user) => user && uncovered("meta", "init with user data"),
    track: tell,
    trackCustom: tell,
    trackSingle: (_pixel, ...said) => tell(...(said as [unknown])),
    trackSingleCustom: (_pixel, ...said) => tell(...(said as [unknown])),
    set: () => {},
    consent: (said) => ads(said === "grant"),
    dataProcessingOptions: (said) => [said].flat().includes("LDU") && ads(false),
  };
  const called = safely((name: unknown, ...said: unknown[]): void => {
    const act = Object.prototype.hasOwnProperty.call(commands, String(name)) && commands[String(name)];
    if (act) act(...said);
    else uncovered("meta", String(name));
  });
  // The page's stub keeps calls until it has `callMethod`.
  const stub = (page.fbq ??= Object.assign((...said: unknown[]) => stub.callMethod(...said), { queue: [] }));
  page._fbq ??= stub;
  stub.callMethod = called;
  [...(stub.queue ?? [])].forEach((said: any) => called(...(Array.prototype.slice.call(said) as [unknown])));
  if (stub.queue) stub.queue.length = 0;
};
export default meta;
