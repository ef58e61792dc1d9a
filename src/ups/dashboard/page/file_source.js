// A run in the page's own file, as `ups report` writes it.

import { numberAt } from "./origin.js";

/** A name as a CSV file's heading: no control character, and no formula to a spreadsheet, as in the program's text.py. */
function heading(name) {
  const escaped = (letter) => `\\x${letter.codePointAt(0).toString(16).padStart(2, "0")}`;
  let text = name.replaceAll(/\p{C}/gu, escaped);
  if (/^\s*[=+\-@＝＋－＠]/u.test(text)) text = `'${text}`;
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** `data`: {run, series: {view: {metric: {step, time}}}, tables: {id: table}, images: {id: data address}} */
export class FileSource {
  live = false;
  key = "report";

  constructor(data) {
    this.data = data;
  }

  run() {
    return Promise.resolve(this.data.run);
  }

  async series({ view, metric, x }) {
    const held = this.#held(view, metric)?.[x];
    if (!held) throw new Error(`This report has no points of ${metric}`);
    return { ...held, x: [...held.x], y: [...held.y], marks: [...held.marks] };
  }

  // A chart that is the same in both views stands in the file once.
  #held(view, metric) {
    return this.data.series[view]?.[metric] ?? this.data.series.wandb[metric];
  }

  async table(id) {
    const table = this.data.tables[id];
    if (!table) throw new Error("This table is not in the report: it is too long");
    return table;
  }

  image(id) {
    return this.data.images[id] ?? "";
  }

  /** The points that are in the report, as CSV. */
  async csv(metric, view) {
    const { step, time } = this.#held(view, metric);
    const same = step.exact && step.x.length === time.x.length && step.marks.length === time.marks.length;
    const lines = [[step.axis, ...(same ? ["seconds"] : []), metric].map(heading)];
    const add = (x, seconds, y) => lines.push([x, ...(same ? [seconds] : []), y]);
    const x = (at) => step.x_digits?.[at] ?? step.x[at];
    const y = (at) => step.y_digits?.[at] ?? step.y[at];
    const markX = ({ x }) => (step.origin === undefined ? x : numberAt(x, step.origin));
    let mark = 0;
    for (let at = 0; at <= step.x.length; at++) {
      for (; step.marks[mark]?.at <= at; mark++) add(markX(step.marks[mark]), time.marks[mark]?.x, step.marks[mark].kind);
      if (at < step.x.length) add(x(at), time.x[at], y(at));
    }
    return URL.createObjectURL(new Blob([lines.map((line) => line.join(",")).join("\n") + "\n"], { type: "text/csv" }));
  }
}
