// Medians of the runs of `bench/compare` and the ratios within each run, as a table in Markdown.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, runs] = process.argv.slice(2);
const numbers = Array.from({ length: Number(runs) }, (_, i) => i + 1);
const read = (who) => numbers.map((n) => JSON.parse(readFileSync(join(folder, `${who}-${n}.json`), "utf8")));
const [plan, ours] = [read("plan"), read("ours")];

const median = (values) => {
  const known = values.filter((v) => Number.isFinite(v)).sort((a, b) => a - b);
  if (!known.length) return NaN;
  const middle = Math.floor(known.length / 2);
  return known.length % 2 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
};
const figure = (v) => (Number.isFinite(v) ? (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2)) : "-");

const rows = [];
/** One line; `better` tells which way the ratio is to be read. */
function line(what, get, better) {
  const safe = (result) => {
    try {
      return get(result) ?? NaN;
    } catch {
      return NaN;
    }
  };
  const [a, b] = [plan.map(safe), ours.map(safe)];
  if (![...a, ...b].some(Number.isFinite)) return; // that part was left out
  const ratios = a.map((value, i) => (better === "less" ? value / b[i] : b[i] / value));
  rows.push([what, figure(median(a)), figure(median(b)), figure(median(ratios)), `${figure(Math.min(...ratios))} to ${figure(Math.max(...ratios))}`]);
}

for (const [key, name] of [["shop", "shop"], ["allModules", "all modules"]]) {
  line(`provision, ${name}, one after another, p50 ms`, (r) => r.provision[key].p50, "less");
  line(`provision, ${name}, one after another, p99 ms`, (r) => r.provision[key].p99, "less");
  line(`provision, ${name}, 20 at once, p50 ms`, (r) => r.concurrent[key].p50, "less");
  line(`provision, ${name}, 20 at once, until the last, ms`, (r) => r.concurrent[key].totalMs, "less");
}
line("drop, until answered, p50 ms", (r) => r.drop.answer.p50, "less");
line("drop, until the name is gone, p50 ms", (r) => r.drop.gone.p50, "less");
for (const count of plan[0].live?.map((entry) => entry.sessions) ?? []) {
  const at = (r) => r.live.find((entry) => entry.sessions === count);
  line(`product list, ${count} live sessions, req/s`, (r) => at(r).requestsPerSecond, "more");
  line(`product list, ${count} live sessions, p99 ms`, (r) => at(r).p99, "less");
  line(`servers' memory, ${count} live sessions, MB`, (r) => at(r).serverRssMb, "less");
  line(`PostgreSQL connections, ${count} live sessions`, (r) => at(r).connections, "less");
  line(`private memory of their backends, ${count} live sessions, MB`, (r) => at(r).backendPrivateMb, "less");
}

const failures = [...plan, ...ours].flatMap((r) => [
  ...(r.live ?? []).filter((entry) => entry.error || entry.failed).map((entry) => `${r.label}, ${entry.wanted} live sessions: ${entry.error ?? `${entry.failed} requests failed`}`),
  ...Object.entries({ ...r.provision, ...Object.fromEntries(Object.entries(r.concurrent ?? {}).map(([k, v]) => [`${k} at once`, v])) })
    .filter(([, entry]) => entry.errors)
    .map(([name, entry]) => `${r.label}, ${name}: ${JSON.stringify(entry.errors)}`),
]);

const head = ["what", "original plan", "ours", "times better", "over the runs"];
const width = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
const text = (row) => `| ${row.map((cell, i) => (i ? cell.padStart(width[i]) : cell.padEnd(width[i]))).join(" | ")} |`;
console.log(`\n**Original plan and ours, ${plan[0].tool} with ${plan[0].connections} connections, medians over ${runs} run(s), turn and turn about**\n`);
console.log(text(head));
console.log(`|${width.map((w, i) => (i ? `${"-".repeat(w + 1)}:` : "-".repeat(w + 2))).join("|")}|`);
for (const row of rows) console.log(text(row));
if (failures.length) console.log(`\nFailed:\n${failures.map((failure) => `- ${failure}`).join("\n")}`);
