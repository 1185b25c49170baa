// An objection for this site from now on, and its withdrawal: said to the server, and to the other tabs.
import { fallSilent, object, speakAgain } from "./consent";
import { post, text } from "./send";
import { tell } from "./tabs";

export const optOut = (): void => {
  fallSilent();
  object({ o: 1 });
  tell(1);
};

export const optIn = (): void => {
  void post(text({ o: 0 }));
  speakAgain();
  tell(0);
};
