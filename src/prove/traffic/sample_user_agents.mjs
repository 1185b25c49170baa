// Writes user_agents.tsv: a sample of the user agents that the npm package `user-agents` (Intoli, BSD-2-Clause) counts on the web, each with
// its share in millionths and the median width of its screens in CSS pixels.
//
//     npm pack user-agents@2.1.198 && tar xzf user-agents-2.1.198.tgz && node sample_user_agents.mjs package/dist/user-agents.json
//
// The head is whole. Of the tail every third is taken, with its own share: what is left over stands for the strings that are rarer still,
// which the generator makes up.
import { readFileSync, writeFileSync } from "node:fs";

const HEAD = 200;
const TAIL_STEP = 3;

const counted = new Map();
for (const { userAgent, weight, screenWidth } of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  const known = counted.get(userAgent) ?? { share: 0, widths: [] };
  known.share += weight;
  known.widths.push(screenWidth);
  counted.set(userAgent, known);
}
const byShare = [...counted].sort(([a, one], [b, other]) => other.share - one.share || (a < b ? -1 : 1));
const total = byShare.reduce((sum, [, { share }]) => sum + share, 0);
const rows = byShare
  .filter((_, index) => index < HEAD || index % TAIL_STEP === 0)
  .map(([agent, { share, widths }]) => {
    const median = widths.sort((one, other) => one - other)[Math.floor(widths.length / 2)];
    return `${Math.max(1, Math.round((share / total) * 1e6))}\t${median}\t${agent}`;
  });
const head = "# millionths, median screen width, user agent; from npm user-agents 2.1.198 (BSD-2-Clause), by sample_user_agents.mjs";
writeFileSync(new URL("user_agents.tsv", import.meta.url), `${[head, ...rows].join("\n")}\n`);
