// OneTrust's groups, where it does not speak TCF: C0002 is performance, C0004 targeting. While its banner is open nothing was chosen, whatever groups are active.
import type { Core } from "../core";

const onetrust = ({ page, on, ask, word }: Core): void => {
  const read = (): void => {
    if (!page.OneTrust.IsAlertBoxClosed()) return;
    const groups = String(page.OnetrustActiveGroups).split(",");
    word("onetrust", { yes: [...(groups.includes("C0002") ? ["analytics" as const] : []), ...(groups.includes("C0004") ? ["ads" as const] : [])], of: ["analytics", "ads"] });
  };
  on(window, "OneTrustGroupsUpdated OTConsentApplied", read);
  ask(read);
};
export default onetrust;
