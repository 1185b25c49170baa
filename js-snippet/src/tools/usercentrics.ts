// Usercentrics asks service by service, and says so in the data layer: a service named `Firsthand` there is analytics, `Firsthand Ads` advertising. An implicit
// status is nobody's choice.
import type { Core } from "../core";

const usercentrics = ({ page, readList, word }: Core): void =>
  readList((page.dataLayer ??= []), (entry) => {
    if (entry?.event !== "consent_status" || String(entry.type).toLowerCase() !== "explicit") return;
    word("usercentrics", { yes: [...(entry.Firsthand === true ? ["analytics" as const] : []), ...(entry["Firsthand Ads"] === true ? ["ads" as const] : [])], of: ["analytics", "ads"] });
  });
export default usercentrics;
