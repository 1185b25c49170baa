// Klaro asks service by service: one that the site calls `firsthand` there is analytics, `firsthand_ads` advertising. Only what was saved is a choice, and one that cannot be refused is none.
import type { Core } from "../core";

const klaro = ({ page, safely, ask, word }: Core): void =>
  ask(() => {
    const names = { analytics: "firsthand", ads: "firsthand_ads" } as const;
    const manager = page.klaro.getManager();
    const read = safely((): void => {
      const { confirmed, consents } = manager;
      const asked = (["analytics", "ads"] as const).filter((purpose) => confirmed && names[purpose] in consents && !manager.getService(names[purpose]).required);
      if (asked.length) word("klaro", { yes: asked.filter((purpose) => consents[names[purpose]] === true), of: asked });
    });
    manager.watch({ update: (_manager: unknown, what: string) => what === "saveConsents" && read() });
    read();
  });
export default klaro;
