/** What a visitor may agree to. */
export type Purpose = "analytics" | "profile" | "ads";
/** A product in an event, by GA4's names. */
export interface Item {
    item_id?: string | number;
    item_name?: string;
    item_brand?: string;
    item_category?: string;
    item_variant?: string;
    price?: number;
    quantity?: number;
}
/**
 * What there is to say of an event, by GA4's names. `value`, `currency`, `transaction_id`, `tax`, `shipping`, `coupon`, `items` and `user_id` are known;
 * others are flat, and need the site's policy.
 */
export interface Properties {
    value?: number;
    currency?: string;
    transaction_id?: string | number;
    tax?: number;
    shipping?: number;
    coupon?: string;
    items?: Item[];
    [own: string]: string | number | boolean | null | undefined | Item[];
}
/** What else was agreed to. */
export interface ConsentOptions {
    /** Events that could not be sent may wait in this browser's storage for another page: at most 50, at most 24 hours. Cleared by the next answer without it. */
    storage?: boolean;
}
/** A call made before the snippet has loaded: `(window.fpw = window.fpw || []).push(["consent", ["analytics"]])`. */
export type Call = ["consent", Purpose[], number?, ConsentOptions?] | ["event", string, Properties?] | ["identify", (string | number | null)?, string?, number?] | ["page"] | ["optOut"] | ["optIn"];
/** The functions on the page, under the site's own global name (`fpw` unless the site chose another). */
export interface Firsthand {
    /** The visitor's choice: these purposes, or `[]` for a no. `secondsLeft`: until the consent itself ends. */
    consent(purposes: Purpose[], secondsLeft?: number, options?: ConsentOptions): void;
    /** Something of the site's own happened. Names: GA4's recommended ones where one exists. */
    event(name: string, properties?: Properties): void;
    /**
     * The site's own id of the visitor, for later events of this page; without one, no id any more. It is no more than a claim, unless the
     * site's backend has signed it: then with its signature and the moment when that ends, in seconds since 1970.
     */
    identify(userId?: string | number | null, signature?: string, expires?: number): void;
    /** A page view. Called by itself at load and when the history moves to another path. */
    page(): void;
    /** An objection for this site from now on, whatever is agreed to elsewhere. The server remembers it. */
    optOut(): void;
    /** Takes the objection back. Nothing is agreed to by that. */
    optIn(): void;
    /**
     * The ticket of this visit, for the shop to keep with an order: its backend says it with the event of that order. Nothing where nobody has
     * agreed, `no` where the visitor objects.
     */
    ticket(): Promise<string>;
    /** How many copies wait in this page's memory for the choice. */
    held(): number;
    /** The same calls as before loading. */
    push(...calls: Call[]): void;
}
