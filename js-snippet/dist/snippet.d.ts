/** What a visitor may agree to. */
export type Purpose = "analytics" | "profile" | "ads";
/** Flat properties of an event. `value`, `currency`, `transaction_id` and `user_id` are known by name; others need the site's policy. */
export type Properties = Record<string, string | number | boolean | null | undefined>;
/** A call made before the snippet has loaded: `(window.fpw = window.fpw || []).push(["consent", ["analytics"]])`. */
export type Call = ["consent", Purpose[], number?] | ["event", string, Properties?] | ["page"] | ["optOut"] | ["optIn"];
/** The functions on the page, under the site's own global name (`fpw` unless the site chose another). */
export interface Firsthand {
    /** The visitor's choice: these purposes, or `[]` for a no. `secondsLeft`: until the consent itself ends. */
    consent(purposes: Purpose[], secondsLeft?: number): void;
    /** Something of the site's own happened. Names: GA4's recommended ones where one exists. */
    event(name: string, properties?: Properties): void;
    /** A page view. Called by itself at load and when the history moves to another path. */
    page(): void;
    /** An objection for this site from now on, whatever is agreed to elsewhere. The server remembers it. */
    optOut(): void;
    /** Takes the objection back. Nothing is agreed to by that. */
    optIn(): void;
    /** How many copies wait in this page's memory for the choice. */
    held(): number;
    /** The same calls as before loading. */
    push(...calls: Call[]): void;
}
