// The ticket of the visit, which a shop keeps with an order and its backend says with the event of it. The server alone makes and reads it.
import { granted, no } from "./consent";
import { config } from "./settings";

/** Sealed, where the visitor has agreed; `no`, where they object, so that the backend's event is refused too; else nothing. */
export const ticket = (): Promise<string> | string => {
  if (no) return "no";
  const asked = granted() && fetch(`${config.e.slice(0, -1)}v`, { method: "POST" });
  return asked ? asked.then((answer) => (answer.status > 200 ? "" : answer.text())).catch(() => "") : "";
};
