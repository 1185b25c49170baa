// vanilla-cookieconsent (CookieConsent) asks by categories of the site's: `analytics` is analytics, `ads` or `marketing` advertising.
import type { Core } from "../core";

const cookieconsent = ({ page, on, ask, word }: Core): void => {
  const read = (categories: string[]): void =>
    word("cookieconsent", { yes: [...(categories.includes("analytics") ? ["analytics" as const] : []), ...(categories.some((name) => /^(ads|marketing)$/.test(name)) ? ["ads" as const] : [])], of: ["analytics", "ads"] });
  on(window, "cc:onConsent cc:onChange", ({ detail }) => read(detail.cookie.categories));
  // Where it has told before this script was there.
  ask(() => {
    const tool = page.CookieConsent;
    if (tool.validConsent()) read(tool.getUserPreferences().acceptedCategories);
  });
};
export default cookieconsent;
