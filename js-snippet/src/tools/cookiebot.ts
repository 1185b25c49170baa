// Cookiebot's own answer, where it does not speak TCF. Only what was answered is a choice.
import type { Core } from "../core";

const cookiebot = ({ page, on, ask, word }: Core): void => {
  const read = (): void => {
    const { consent, hasResponse } = page.Cookiebot;
    if (hasResponse) word("cookiebot", { yes: [...(consent.statistics ? ["analytics" as const] : []), ...(consent.marketing ? ["ads" as const] : [])], of: ["analytics", "ads"] });
  };
  on(window, "CookiebotOnConsentReady CookiebotOnAccept CookiebotOnDecline", read);
  ask(read);
};
export default cookiebot;
