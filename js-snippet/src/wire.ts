// An event in the words of protocol `native`, whose other side is the server's decoder.
import type { Properties } from "./api";
import { browser } from "./settings";
import { referrer } from "./views";

/** One event on the wire. */
export interface WireEvent {
  k: string; // kind: page_view, or the event's name
  i: string; // random id, by which the server knows a retry
  t: number; // when, by this browser's clock, ms
  p: string; // the page's address
  r: string; // where the visitor came from
  n: string; // the page's title
  l: string; // language
  w: number; // width of the window
  v?: number; // amount of money
  m?: string; // its currency
  x?: string; // order id
  tx?: number; // tax
  sh?: number; // shipping
  cp?: string; // coupon
  y?: Record<string, string | number>[]; // products
  a?: string; // the site's own id of the visitor, as the page claims it
  as?: string; // the backend's signature of that id
  ae?: number; // when the signature ends, s
  d?: Record<string, string | number | boolean>; // the other properties
  h?: 1; // a copy that was held until the choice
}

const ITEMS_MAX = 200;
/** GA4's name of a property or of a product's → ours. In capitals: a number. */
const KNOWN: Record<string, string> = { value: "V", currency: "m", transaction_id: "x", tax: "TX", shipping: "SH", coupon: "cp", user_id: "a" };
const KNOWN_OF_ITEM: Record<string, string> = {
  item_id: "id",
  item_name: "name",
  item_brand: "brand",
  item_category: "category",
  item_variant: "variant",
  price: "PRICE",
  quantity: "QUANTITY",
};

let user: Pick<WireEvent, "a" | "as" | "ae"> = {};

/** Who is visiting, as the page says. */
export const identify = (userId?: unknown, signature?: unknown, expires?: unknown): void => {
  user = userId == null || userId === "" ? {} : { a: String(userId) };
  if (user.a && signature) user.as = String(signature);
  if (user.as && Number.isFinite(expires)) user.ae = expires as number;
};

export const randomId = (): string => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** Puts what is known by name where it belongs, and the rest that JSON can say flatly into the other one; nothing is sent as something else. */
const sort = (said: object, known: Record<string, string>, into: Record<string, unknown>, others: Record<string, unknown>): void => {
  for (const [name, value] of Object.entries(said)) {
    if (typeof value !== "string" && typeof value !== "boolean" && !Number.isFinite(value)) continue;
    const key = known[name] as unknown;
    if (typeof key !== "string") others[name] = value;
    else if (key >= "a") into[key] = String(value);
    else if (Number.isFinite(+value) && parseFloat(value) === +value) into[key.toLowerCase()] = +value;
  }
};

export const eventOf = (kind: string, properties?: Properties, place?: Partial<WireEvent>): WireEvent => {
  const event: WireEvent = {
    k: String(kind),
    i: randomId(),
    t: Date.now(),
    p: location.href,
    r: referrer,
    n: document.title,
    l: browser.language,
    w: innerWidth,
    ...user,
    ...place,
  };
  const others = {};
  sort(properties ?? {}, KNOWN, event as unknown as Record<string, unknown>, others);
  if (event.a !== user.a) delete event.as, delete event.ae; // the signature is of the other id
  if (Object.keys(others).length) event.d = others;
  const items = properties?.items;
  if (Array.isArray(items)) {
    event.y = items.slice(0, ITEMS_MAX).map((item) => {
      const product = {};
      sort(item ?? {}, KNOWN_OF_ITEM, product, {});
      return product;
    });
  }
  return event;
};
