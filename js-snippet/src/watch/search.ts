// The site's own search: the word that stands in the address, under the names that GA4 looks for.
import type { Core } from "../core";

const NAMES = ["q", "s", "search", "query", "keyword"];

const search = ({ happened, atRoute }: Core): void =>
  atRoute(() => {
    const query = new URLSearchParams(location.search);
    const name = NAMES.find((each) => query.get(each));
    if (name) happened("view_search_results", { search_term: query.get(name)! });
  });
export default search;
