// Links to other hosts, and to files.
import { record } from "./consent";
import { eventOf } from "./wire";

const FILE = /\.(pdf|docx?|xlsx?|pptx?|txt|rtf|csv|exe|msi|dmg|pkg|7z|rar|g?z|zip|avi|mov|mp[34]|mpe?g|wmv|wma|midi?|wav|epub)$/i;

export const clicked = (event: MouseEvent): void => {
  if (event.button > 1) return;
  const link = event.composedPath().find((each) => (each as Element).matches?.("a[href],area[href]")) as HTMLAnchorElement | undefined;
  if (!link || !/^https?:$/.test(link.protocol)) return;
  const extension = FILE.exec(link.pathname)?.[1];
  // Of a link its host alone: the rest may name someone.
  const link_domain = link.hostname;
  const happened = (kind: string, properties: object): void => record(eventOf(kind, properties as any));
  if (extension || link.hasAttribute("download")) happened("file_download", { link_domain, file_extension: extension?.toLowerCase() });
  else if (link_domain !== location.hostname) happened("click", { link_domain, outbound: true });
};
