// An objection in one tab is one in all of them, at once: the others would hear of it with the server's next answer only.
import { fallSilent, speakAgain } from "./consent";
import { safely } from "./safely";
import { config } from "./settings";

let channel: BroadcastChannel | undefined;

/** Listens. A page in the back/forward cache hears nothing, and one that listens may not be put there. */
export const listen = safely((): void => {
  channel = new BroadcastChannel(config.g);
  channel.onmessage = safely(({ data }: MessageEvent) => {
    if (data === 1) fallSilent();
    else if (data === 0) speakAgain();
  });
});

export const listenNoMore = (): void => {
  channel?.close();
  channel = undefined;
};

export const tell = safely((out: 0 | 1): void => channel?.postMessage(out));
