// tarteaucitron asks service by service: one that the site calls `firsthand` there is analytics, `firsthand_ads` advertising. Only where it waits for an answer (`highPrivacy`), and the service
// needs one, is its state a choice.
import type { Core } from "../core";

const tarteaucitron = ({ page, on, ask, word }: Core): void => {
  const names = { analytics: "firsthand", ads: "firsthand_ads" } as const;
  const read = (): void => {
    const { highPrivacy, services, state } = page.tarteaucitron;
    const asked = (["analytics", "ads"] as const).filter((purpose) => highPrivacy && services[names[purpose]]?.needConsent && typeof state[names[purpose]] === "boolean");
    if (asked.length) word("tarteaucitron", { yes: asked.filter((purpose) => state[names[purpose]]), of: asked });
  };
  on(document, Object.values(names).flatMap((name) => ["added", "allowed", "disallowed"].map((what) => `${name}_${what}`)).join(" "), read);
  ask(read);
};
export default tarteaucitron;
