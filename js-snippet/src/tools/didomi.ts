// Didomi's own purposes, where the page does not speak TCF: the same as the framework's, under Didomi's names.
import type { Purpose } from "../api";
import type { Core } from "../core";

const PURPOSES: Record<Purpose, string[]> = {
  analytics: ["cookies", "measure_content_performance", "market_research"],
  profile: ["cookies", "create_content_profile", "select_personalized_content"],
  ads: ["cookies", "select_basic_ads", "create_ads_profile", "select_personalized_ads", "measure_ad_performance"],
};

const didomi = ({ page, safely, word }: Core): void => {
  const read = safely((): void => {
    if (page.Didomi.shouldConsentBeCollected()) return; // the notice is still to be answered
    const { purposes } = page.Didomi.getCurrentUserStatus();
    const agreed = (purpose: Purpose): boolean => PURPOSES[purpose].every((id) => purposes[id]?.enabled === true);
    word("didomi", { yes: (Object.keys(PURPOSES) as Purpose[]).filter(agreed) });
  });
  (page.didomiOnReady ??= []).push(read);
  (page.didomiEventListeners ??= []).push({ event: "consent.changed", listener: read });
};
export default didomi;
