// Forms: begun and sent. Never what is in them.
import type { Core } from "../core";

const forms = ({ on, happened }: Core): void => {
  const begun = new WeakSet<Element>();
  // A field may be called `id`, and would stand in the form's own place.
  const about = (form: Element) => ({ form_id: form.getAttribute("id"), form_name: form.getAttribute("name") });
  on(document, "input", ({ target }) => {
    const form = (target as HTMLInputElement).form;
    if (!form || begun.has(form)) return;
    begun.add(form);
    happened("form_start", about(form));
  });
  on(document, "submit", ({ target }) => happened("form_submit", about(target as Element)));
};
export default forms;
