// Vendors' words and ours for the same, as src/event/vocabulary.rs and src/protocol/meta.rs have them; tests there hold these lists against theirs.

/** What an event's properties describe: one product, whose fields stand beside each other, or an order. */
const PRODUCT = true;
const ORDER = false;

/** Segment's e-commerce specification, which other vendors' shops follow too. */
const SEGMENT: [theirs: string, ours: string, describes: boolean][] = [
  ["Products Searched", "search", ORDER],
  ["Product List Viewed", "view_item_list", ORDER],
  ["Promotion Viewed", "view_promotion", ORDER],
  ["Promotion Clicked", "select_promotion", ORDER],
  ["Product Clicked", "select_item", PRODUCT],
  ["Product Viewed", "view_item", PRODUCT],
  ["Product Added", "add_to_cart", PRODUCT],
  ["Product Removed", "remove_from_cart", PRODUCT],
  ["Product Added to Wishlist", "add_to_wishlist", PRODUCT],
  ["Product Shared", "share", PRODUCT],
  ["Cart Viewed", "view_cart", ORDER],
  ["Cart Shared", "share", ORDER],
  ["Checkout Started", "begin_checkout", ORDER],
  ["Payment Info Entered", "add_payment_info", ORDER],
  ["Order Completed", "purchase", ORDER],
  ["Order Refunded", "refund", ORDER],
  ["Signed Up", "sign_up", ORDER],
  ["Signed In", "login", ORDER],
  ["Viewed Product Category", "view_item_list", ORDER],
  ["Viewed Product", "view_item", PRODUCT],
  ["Added Product", "add_to_cart", PRODUCT],
  ["Removed Product", "remove_from_cart", PRODUCT],
  ["Completed Order", "purchase", ORDER],
];

/** Under which names a part of an order or of a product is read, in the order in which they count. */
const PARTS: [ours: string, read: string[]][] = [
  ["value", ["revenue", "total", "value"]],
  ["currency", ["currency"]],
  ["transaction_id", ["order_id", "transaction_id"]],
  ["tax", ["tax"]],
  ["shipping", ["shipping"]],
];
const PARTS_OF_ITEM: [ours: string, read: string[]][] = [
  ["item_id", ["product_id", "item_id", "sku", "id"]],
  ["item_name", ["name", "item_name"]],
  ["item_brand", ["brand", "item_brand"]],
  ["item_category", ["category", "item_category"]],
  ["item_variant", ["variant", "item_variant"]],
  ["price", ["price"]],
  ["quantity", ["quantity"]],
];
const COUPON: [ours: string, read: string[]][] = [["coupon", ["coupon"]]];

const words = (name: string): string => name.split(/[^\p{L}\p{N}]+/u).filter(Boolean).join("_").toLowerCase();

/** A vendor's event in canonical words, and whether its properties describe one product. A name that is in no list is written as a policy would. */
export const canonical = (said: unknown): [name: string, product: boolean] => {
  const name = words(String(said ?? ""));
  const known = SEGMENT.find(([theirs]) => words(theirs) === name);
  return known ? [known[1], known[2]] : [name || "custom", ORDER];
};

/** A property's name as a policy would write it: `planType`, `Plan Type`, `$plan_type` → `plan_type`. */
export const property = (said: string): string => words(said.replace(/([\p{Ll}\p{N}])(?=\p{Lu})/gu, "$1_"));

const take = (said: Record<string, unknown>, parts: [string, string[]][], into: Record<string, unknown>): void => {
  for (const [ours, read] of parts) {
    for (const name of read) {
      const value = said[name];
      delete said[name];
      if (into[ours] === undefined && (typeof value === "string" || Number.isFinite(value)) && value !== "") into[ours] = value;
    }
  }
};

/** Properties in our words: money, order and products under either vocabulary; the rest as a policy would write its names. */
export const properties = (said: unknown, product = ORDER): Record<string, any> => {
  const rest = { ...(said as Record<string, unknown>) };
  const known: Record<string, any> = {};
  const item = (one: unknown): object => {
    const read = {};
    take({ ...(one as object) }, PARTS_OF_ITEM, read);
    return read;
  };
  if (product) {
    const read = {};
    take(rest, PARTS_OF_ITEM, read);
    known.items = [read];
  } else {
    const lists = [rest.products, rest.items].filter(Array.isArray);
    if (lists.length) known.items = lists.flat().map(item);
    take(rest, COUPON, known);
  }
  delete rest.items;
  delete rest.products;
  take(rest, PARTS, known);
  const others: Record<string, any> = {};
  for (const [name, value] of Object.entries(rest)) if (!/^[$_]/.test(name)) others[property(name)] = value;
  return { ...others, ...known };
};
