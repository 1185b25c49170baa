// Pages that are not there: where the browser says how the page was answered, or the tag does (`data-status="404"`).
import type { Core } from "../core";

const notfound = ({ tag, happened }: Core): void => {
  const [navigation] = performance.getEntriesByType("navigation") as (PerformanceNavigationTiming & { responseStatus?: number })[];
  if (tag.status === "404" || navigation?.responseStatus === 404) happened("not_found");
};
export default notfound;
