// Axeptio asks vendor by vendor: a vendor that the site calls `firsthand` there is analytics, `firsthand_ads` advertising.
import type { Core } from "../core";

const axeptio = ({ page, safely, word }: Core): void => {
  (page._axcb ??= []).push(
    safely((sdk: any) =>
      sdk.on("cookies:complete", safely((choices: any) =>
        word("axeptio", { yes: [...(choices.firsthand === true ? ["analytics" as const] : []), ...(choices.firsthand_ads === true ? ["ads" as const] : [])], of: ["analytics", "ads"] }))),
    ),
  );
};
export default axeptio;
