// Videos of the page itself: begun, a quarter, half and three quarters seen, seen to the end; in GA4's words.
import type { Core } from "../core";

const video = ({ on, happened }: Core): void => {
  const seen = new WeakMap<HTMLVideoElement, number>();
  on(document, "play timeupdate ended", ({ type, target }) => {
    const film = target as HTMLVideoElement;
    if (film.tagName !== "VIDEO" || !Number.isFinite(film.duration)) return;
    const before = seen.get(film);
    if (before === undefined) {
      if (type !== "play") return;
      seen.set(film, 0);
      return happened("video_start", { video_percent: 0 });
    }
    const percent = type === "ended" ? 100 : Math.min(75, Math.floor((4 * film.currentTime) / film.duration) * 25);
    if (percent <= before) return;
    seen.set(film, percent);
    happened(percent === 100 ? "video_complete" : "video_progress", { video_percent: percent });
  });
};
export default video;
