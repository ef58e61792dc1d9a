// One chart: a metric of one run, or of several, with its verdict, its points and its cursor.

import { Cursor, valueText, xText } from "./cursor.js";
import { announce, download, el, iconButton } from "./dom.js";
import { verdictName } from "./findings.js";
import { count, counted, number, shortName } from "./format.js";
import { distance, moved } from "./origin.js";
import { extent, figure, loadPlotly, picture } from "./plot.js";
import { sketch } from "./sketch.js";
import { Verdict } from "./verdict.js";

const CONFIG = { displayModeBar: false, doubleClick: false, responsive: false, showTips: false, displaylogo: false };
const TOO_MANY = 3; // a live line is asked for again when it has grown by this many points per pixel
const REFETCH_EVERY = 2000; // ms

const touch = () => window.matchMedia("(hover: none)").matches;

/** An axis in words: W&B's own step is not a metric of the run. */
export const axisName = (axis) => (axis === "_step" ? "W&B's step" : axis);

/** The axis that occurs most often; the first of several. */
export function commonest(axes) {
  const times = (axis) => axes.filter((each) => each === axis).length;
  return [...axes].sort((a, b) => times(b) - times(a))[0];
}

/** True where new points can be added to a line: they count from the same x, and have digits where it has. */
function alike(points, line, byTime) {
  const same = (name) => (points[name] === undefined) === (line[name] === undefined);
  return same("y_digits") && (byTime || (same("x_digits") && points.origin === line.origin));
}

/**
 * A chart's card. It is drawn by its board, when it is in sight and something has changed.
 *
 * `spec`: {metric, stage, axis, sectionAxis, verdict, rows, points, findings, lines: [{key, label, color, source, view}]}
 */
export class Chart {
  visible = false;
  loaded = false;
  window = null;
  frame = null;
  origin; // from which the x of its lines count
  #asked = 0;
  #fetched = 0;
  #loading = false;
  #stepped = null;
  #buffer = [];

  constructor(spec, board, { large = false, origin } = {}) {
    this.board = board;
    this.origin = origin;
    this.large = large;
    this.lines = [];
    this.title = el("h3", { class: "chart-title" });
    this.value = el("output", { class: "chart-value", "aria-live": "off" });
    this.verdict = new Verdict();
    this.plot = el("div", { class: "plot" });
    this.note = el("div", { class: "plot-note", hidden: true });
    this.axisLabel = el("span", { class: "axis-name", hidden: true });
    this.missing = el("span", { class: "axis-name", hidden: true });
    this.cursor = new Cursor();
    this.stageElement = el(
      "div",
      { class: "plot-area", tabindex: 0, role: "slider", "aria-valuemin": 0, "aria-orientation": "horizontal" },
      this.plot,
      this.cursor.line,
      this.cursor.dots,
      this.note,
      this.cursor.tip,
    );
    this.unzoom = iconButton("unzoom", "Show the whole chart", () => this.resetZoom(), {
      class: "icon-button unzoom",
      hidden: true,
    });
    this.csv = iconButton("csv", "Save all points as CSV", () => this.saveTable());
    this.actions = el(
      "div",
      { class: "chart-actions" },
      this.unzoom,
      iconButton("png", "Save as PNG", () => this.savePicture()),
      this.csv,
      large ? null : iconButton("expand", "Full screen", () => this.board.enlarge(this)),
    );
    this.element = el(
      "article",
      { class: large ? "chart large" : "chart" },
      el(
        "header",
        { class: "chart-head" },
        this.title,
        this.axisLabel,
        this.verdict.chip,
        this.missing,
        this.value,
        this.actions,
      ),
      el("div", { class: "chart-body" }, this.stageElement, this.verdict.why),
    );
    this.#listen();
    this.update(spec);
  }

  /** Takes a new description: another verdict, other points, other lines. */
  update(spec) {
    const before = this.spec;
    this.spec = spec;
    const keys = (lines) => lines.map((line) => `${line.key} ${line.view}`).join("\n");
    if (!before || keys(before.lines) !== keys(spec.lines)) {
      const old = new Map(this.lines.map((line) => [`${line.key} ${line.view}`, line]));
      this.lines = spec.lines.map((line) =>
        Object.assign(old.get(`${line.key} ${line.view}`) ?? { base: null, zoom: null }, line),
      );
      this.loaded = this.lines.every((line) => line.base);
      this.resetZoom();
    } else this.lines.forEach((line, at) => Object.assign(line, spec.lines[at]));
    const name = shortName(spec.metric, spec.stage);
    if (this.title.textContent !== name) this.title.textContent = name;
    this.title.title = spec.metric;
    Object.assign(this.element.dataset, {
      metric: spec.metric,
      stage: spec.stage ?? "",
      verdict: spec.verdict,
      view: spec.lines[0]?.view ?? "",
    });
    this.#showAxis();
    this.#showVerdict();
    if (!before || spec.points !== before.points || spec.verdict !== before.verdict) this.#describe();
    if (this.empty) this.element.dataset.drawn = "1";
    const streamed = this.lines[0]?.source.follows && this.lines[0].view === "wandb"; // its new points come by the stream
    if (before && this.loaded && !streamed && spec.points !== before.points) this.stale();
    this.board.changed(this);
  }

  #showAxis() {
    const { axis, sectionAxis } = this.spec;
    const said = axis === sectionAxis && !this.large ? [] : [`against ${axisName(axis)}`];
    if (this.origin !== undefined) said.push(`x counts from ${count(this.origin)}`);
    this.axisLabel.textContent = this.axisLabel.title = said.join(", ");
    this.axisLabel.hidden = !said.length;
  }

  /** True where nothing can be drawn. */
  get empty() {
    if (this.spec.points || this.spec.notFinite) return false;
    return !this.lines.some((line) => line.base && (line.base.x.length || line.base.marks.length));
  }

  /** Has its points asked for again; the old ones stay until then. */
  stale() {
    this.loaded = false;
    this.board.changed(this);
  }

  /** Forgets its points, which are of another axis or view. */
  reset() {
    for (const line of this.lines) line.base = null;
    this.resetZoom();
    this.#stepped = null;
    delete this.element.dataset.end;
    this.stale();
  }

  /** Asks for the points of every line. */
  async load() {
    if (this.#loading || (this.empty && !this.lines.some((line) => line.source.live))) return;
    this.#loading = true;
    const asked = ++this.#asked;
    this.loaded = true;
    const { x } = this.board.settings;
    try {
      const found = await Promise.all(
        this.lines.map((line) =>
          line.source
            .series({ view: line.view, metric: this.spec.metric, x, pixels: this.#pixels() })
            .catch((error) => ({ error })),
        ),
      );
      if (asked !== this.#asked || x !== this.board.settings.x) {
        this.loaded = false;
        return;
      }
      this.#fetched = performance.now();
      const good = found.find((each) => !each.error);
      if (good) this.#countFrom(good.origin);
      this.lines.forEach((line, at) => {
        if (!found[at] || found[at].error) return;
        line.shift = distance(found[at].origin, this.origin);
        line.base = moved(found[at], line.shift);
      });
      const error = found.find((each) => each.error)?.error;
      const nothing = error && !this.lines.some((line) => line.base);
      if (nothing) this.release(); // what it shows is of another axis
      this.#note(nothing ? error.message : "");
      this.#showVerdict();
      if (this.window) this.#refine();
    } finally {
      this.#loading = false;
      for (const [key, points] of this.#buffer.splice(0)) this.append(key, points);
      this.board.changed(this);
    }
  }

  #countFrom(origin) {
    if (origin === this.origin) return;
    for (const line of this.lines) line.base = null;
    this.origin = origin;
    this.resetZoom();
    this.#showAxis();
  }

  /** New points of a live run: `{x, time, y, marks, begin, end}`, in the order in which they were logged. */
  append(key, points) {
    const line = this.lines.find((each) => each.key === key);
    if (!line) return;
    if (this.#loading) {
      this.#buffer.push([key, points]);
      return;
    }
    if (!line.base || points.refetch) {
      if (points.refetch || line.base) this.stale();
      else this.board.changed(this);
      return;
    }
    const { base } = line;
    if (points.end <= base.end) return;
    const byTime = this.board.settings.x === "time";
    if (points.begin !== base.end || !alike(points, base, byTime)) {
      this.stale();
      return;
    }
    const { empty } = this;
    const xs = byTime ? points.time : moved(points, line.shift).x;
    const { course } = base;
    for (const { x, time, kind, at } of points.marks) {
      base.marks.push({ x: byTime ? time : x + line.shift, kind, at: base.x.length + at });
      base.breaks.push(base.x.length + at);
      course?.breaks.push(course.x.length + at);
    }
    for (let at = 0; at < points.y.length; at++) {
      base.x.push(xs[at]);
      base.y.push(points.y[at]);
      course?.x.push(xs[at]);
      course?.y.push(points.y[at]);
      course?.count.push(1);
    }
    if (!byTime) base.x_digits?.push(...points.x_digits);
    base.y_digits?.push(...points.y_digits);
    base.total += points.y.length;
    base.end = points.end;
    if (empty !== this.empty) this.#showVerdict();
    const grown = base.x.length > (2 + TOO_MANY) * this.#pixels();
    if (grown && performance.now() - this.#fetched > REFETCH_EVERY) this.loaded = false;
    this.board.changed(this);
  }

  /** Shows its lines as they are, until it is drawn; true where it did so just now. */
  sketch() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (this.#sketched || this.empty || !width || !height || !this.lines.some((line) => line.base)) return false;
    const { logY } = this.board.settings;
    const shown = this.#shown();
    this.#sketched = sketch(shown, extent(shown, { logY, window: this.window, height }), { logY, width, height });
    this.plot.after(this.#sketched);
    return true;
  }

  #sketched = null;

  /** Draws what it has. */
  async draw() {
    if (this.empty || !this.lines.some((line) => line.base)) return;
    const Plotly = await loadPlotly();
    const width = this.plot.clientWidth;
    const height = this.plot.clientHeight;
    if (!width || !height) return;
    const { settings } = this.board;
    const shown = this.#shown();
    const range = extent(shown, { logY: settings.logY, window: this.window, height });
    const made = figure(shown, range, {
      logY: settings.logY,
      time: settings.x === "time",
      smoothing: settings.smoothing,
      zoomed: this.window !== null,
      width,
    });
    const ends = this.lines.reduce((sum, line) => sum + (line.base?.end ?? 0), 0);
    const first = !this.frame;
    this.frame = { range, origin: this.origin, unit: made.unit, width, height, logY: settings.logY, figure: made };
    const still = touch() && !this.large;
    await Plotly.react(
      this.plot,
      made.traces,
      { ...made.layout, width, height, dragmode: still ? false : "zoom" },
      { ...CONFIG, staticPlot: still },
    );
    this.#sketched?.remove();
    if (first) {
      this.plot.on("plotly_relayout", (change) => this.#zoomed(change));
      this.plot.on("plotly_doubleclick", () => this.resetZoom());
    }
    this.#note(
      settings.logY && !range.count && shown.some((line) => line.y.length)
        ? "No value is above 0, so a log scale shows none"
        : "",
    );
    this.#showMissing(shown);
    const points = shown.reduce((sum, line) => sum + line.x.length, 0);
    Object.assign(this.element.dataset, {
      drawn: "1",
      end: String(ends),
      points: String(points),
      exact: String(shown.every((line) => line.exact)),
    });
    document.documentElement.dataset.painted ??= String(performance.now());
    this.#describe();
    if (!this.cursor.hidden) this.showCursor(this.cursorAt, false);
  }

  /** Frees what Plotly holds; the chart is drawn again when it is next in sight. */
  release() {
    if (this.frame && window.Plotly) window.Plotly.purge(this.plot);
    this.frame = null;
    delete this.element.dataset.drawn;
  }

  #shown() {
    return this.lines
      .filter((line) => line.base)
      .map((line) => ({ ...(line.zoom ?? line.base), color: line.color, label: line.label }));
  }

  #pixels() {
    return Math.max(200, Math.min(2000, Math.round(this.plot.clientWidth || 400)));
  }

  #note(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** Shows how many points are not drawn: a report lacks them, or a log scale cannot show them. */
  #showMissing(shown) {
    const left = this.lines.filter(({ base, source }) => base && !base.exact && !source.live);
    const said = left.map(({ base }) => `${count(base.x.length)} of ${counted(base.total, "point")}`);
    const label = left.length ? "Save the points in this report as CSV" : "Save all points as CSV";
    this.csv.title = label;
    this.csv.setAttribute("aria-label", label);
    const below = shown.reduce((sum, { y }) => sum + y.filter((value) => value <= 0).length, 0);
    if (this.board.settings.logY && below) {
      const number = shown.every((line) => line.exact) ? `${counted(below, "value")}` : "values";
      said.push(`${number} ≤ 0 not shown`);
    }
    this.missing.textContent = this.missing.title = said.join(" · ");
    this.missing.hidden = !said.length;
  }

  #showVerdict() {
    const { verdict, points } = this.spec;
    const alone = verdict !== "full" && points === 0 && this.empty;
    this.element.dataset.severity = this.verdict.show(this.spec, alone);
    this.element.classList.toggle("nothing", alone);
    this.stageElement.hidden = alone;
  }

  #describe() {
    const { metric, verdict, points, axis } = this.spec;
    const last = this.#last();
    const at = last && `${last.y} at ${last.x}`;
    const said = [metric, verdictName(verdict), counted(Math.max(points, this.lines[0]?.base?.total ?? 0), "point")];
    if (last) said.push(`last value ${at}`);
    said.push(`drawn against ${axis}`);
    this.stageElement.setAttribute("aria-label", said.join(", "));
    this.stageElement.setAttribute("aria-valuemax", String(Math.max(0, (this.lines[0]?.base?.x.length ?? 1) - 1)));
    if (this.cursor.hidden && this.#stepped === null) {
      this.stageElement.setAttribute("aria-valuenow", this.stageElement.getAttribute("aria-valuemax"));
      this.stageElement.setAttribute(
        "aria-valuetext",
        last ? `last: ${at}` : "no points",
      );
      this.#showValue(this.lines.length === 1 && last ? number(last.value) : "", "");
    }
  }

  #last() {
    const base = this.lines[0]?.base;
    return base?.y.length ? { ...this.#text(base, base.y.length - 1), value: base.y.at(-1) } : null;
  }

  /** A point in words: the seconds of a time are shortened, all else has every digit. */
  #text(line, at) {
    return { x: this.board.settings.x === "time" ? number(line.x[at]) : xText(line, at), y: valueText(line, at) };
  }

  #showValue(value, at) {
    const text = `${at} ${value}`;
    if (this.value.dataset.text === text) return;
    this.value.dataset.text = text;
    this.value.replaceChildren(...(at ? [el("span", { class: "at" }, at)] : []), el("b", {}, value));
  }

  // Zoom

  #zoomed(change) {
    const get = (axis) => {
      const range = change[`${axis}.range`];
      const low = range?.[0] ?? change[`${axis}.range[0]`];
      const high = range?.[1] ?? change[`${axis}.range[1]`];
      return low === undefined || high === undefined ? null : [Number(low), Number(high)];
    };
    const [x, y] = [get("xaxis"), get("yaxis")];
    if (!x && !y) return;
    const { unit, range } = this.frame;
    this.zoomTo(x ? x.map((value) => value * unit) : range.x, y);
  }

  /** Shows a window of x, in its own units, and asks for all that lies in it. */
  zoomTo(x, y = null) {
    if (!(x[1] > x[0])) return;
    this.window = { x, y };
    this.unzoom.hidden = false;
    this.element.dataset.zoom = x.join(" ");
    this.board.changed(this);
    this.#refine();
  }

  async #refine() {
    const zoomed = this.window;
    const asked = this.lines.map(async (line) => {
      if (!line.base || line.base.exact || !line.source.live) return;
      const { x } = this.board.settings;
      const found = await line.source.series({
        view: line.view,
        metric: this.spec.metric,
        x,
        pixels: this.#pixels(),
        window: zoomed.x.map((value) => value - line.shift),
      });
      if (this.window === zoomed && found.origin === line.base?.origin) line.zoom = moved(found, line.shift);
    });
    for (const each of await Promise.allSettled(asked)) if (each.status === "rejected") announce(each.reason.message);
    if (this.window === zoomed) {
      this.element.dataset.refined = "1";
      this.board.changed(this);
    }
  }

  /** Shows the whole chart again. */
  resetZoom() {
    this.window = null;
    for (const line of this.lines) line.zoom = null;
    this.unzoom.hidden = true;
    delete this.element.dataset.zoom;
    delete this.element.dataset.refined;
    this.board.changed(this);
  }

  // The cursor

  #listen() {
    const move = (event) => {
      if (!this.frame || event.buttons) return;
      const box = this.stageElement.getBoundingClientRect();
      const x = Cursor.at(event.clientX - box.left, this.frame);
      this.board.cursor(this, x);
    };
    this.stageElement.addEventListener("pointermove", move);
    this.stageElement.addEventListener("pointerdown", (event) => event.pointerType !== "mouse" && move(event));
    this.stageElement.addEventListener("pointerleave", () => this.board.cursor(this, null));
    this.stageElement.addEventListener("blur", () => this.board.cursor(this, null));
    this.stageElement.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const base = this.lines[0]?.base;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -25, PageUp: 25, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && !this.large) {
      event.preventDefault();
      this.board.enlarge(this);
    } else if (event.key in steps && base?.x.length) {
      event.preventDefault();
      const last = base.x.length - 1;
      const from = this.#stepped ?? (steps[event.key] < 0 ? last + 1 : -1);
      this.#stepped = Math.max(0, Math.min(last, from + steps[event.key]));
      this.board.cursor(this, base.x[this.#stepped]);
      this.stageElement.setAttribute("aria-valuenow", String(this.#stepped));
      const { x, y } = this.#text(base, this.#stepped);
      this.stageElement.setAttribute("aria-valuetext", `${y} at ${x}`);
    }
  }

  /** Shows the points nearest to `x`; null hides the cursor. `own`: true where the pointer is over this chart. */
  showCursor(x, own) {
    this.cursorAt = x;
    const lines = x === null || !this.frame ? [] : this.#shown().filter((line) => line.x.length);
    if (!lines.length) {
      this.cursor.hide();
      this.#stepped = null;
      this.#describe();
      return;
    }
    const alone = this.lines.length === 1;
    const byTime = this.board.settings.x === "time";
    const { points, where } = this.cursor.show(lines, x, this.frame, { byTime, withTip: own && !alone });
    if (own && alone && lines[0].x[this.#stepped] !== points[0].x) this.#stepped = points[0].index;
    this.#showValue(alone ? points[0].text : "", where);
  }

  // Files

  async savePicture() {
    if (!this.frame) return;
    const size = this.large ? { width: 1200, height: 640 } : { width: 800, height: 440 };
    const { unitName } = this.frame.figure;
    const from = this.origin === undefined ? "" : `, counted from ${count(this.origin)}`;
    const byTime = this.board.settings.x === "time";
    const axis = byTime ? `${unitName} since the first row` : `${axisName(this.spec.axis)}${from}`;
    const href = await picture(this.frame.figure, {
      title: this.spec.metric,
      axis,
      legend: this.lines.length > 1,
      ...size,
    });
    download(href, `${this.spec.metric}.png`);
  }

  async saveTable() {
    for (const line of this.lines) {
      const name = this.lines.length > 1 ? `${line.label}-${this.spec.metric}.csv` : `${this.spec.metric}.csv`;
      download(await line.source.csv(this.spec.metric, line.view), name);
    }
  }
}
