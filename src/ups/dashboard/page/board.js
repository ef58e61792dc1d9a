// All charts of a page, in sections. A chart is drawn when it is in sight, a few per frame; a stage has one cursor.

import { Chart } from "./chart.js";
import { el, icon, iconButton, place, showDialog } from "./dom.js";
import { counted } from "./format.js";
import { distance } from "./origin.js";

const NEAR = "300px"; // a chart this near to the window is drawn already
const BUDGET = 10; // ms of drawing per frame
const REST = 2; // the pause after a drawing is this many times its length, so that a live page stays light
const LONGEST_REST = 400; // ms

export class Board {
  charts = new Map();
  element = el("div", { class: "board" });
  #sections = new Map();
  #waiting = new Set();
  #frame = 0;
  #drawing = false;
  #rested = 0;
  #enlarged = null;
  #search = "";

  /** `settings`: {x: "step" | "time", smoothing, logY}, shared with the tools. */
  constructor(settings) {
    this.settings = settings;
    this.observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: NEAR });
    new ResizeObserver(() => this.#resized()).observe(this.element);
    window.addEventListener("ups-theme", () => this.redraw());
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  /** Shows these sections: [{id, title, note, color, specs}], keeping the charts that it has. */
  show(sections) {
    const wanted = new Set();
    const shown = sections.map(({ id, title, note, color, specs }) => {
      let section = this.#sections.get(id);
      if (!section) {
        section = makeSection(title);
        this.#sections.set(id, section);
      }
      section.note.textContent = note;
      section.element.style.setProperty("--stage", color);
      place(
        section.grid,
        specs.map((spec) => {
          wanted.add(spec.metric);
          return this.#chart(spec).element;
        }),
      );
      section.specs = specs;
      section.element.classList.toggle("one", specs.length === 1);
      section.element.classList.toggle("two", specs.length === 2);
      return section.element;
    });
    for (const [metric, chart] of this.charts) {
      if (wanted.has(metric)) continue;
      this.observer.unobserve(chart.element);
      chart.release();
      this.#waiting.delete(chart);
      this.charts.delete(metric);
    }
    const ids = new Set(sections.map((section) => section.id));
    for (const id of this.#sections.keys()) if (!ids.has(id)) this.#sections.delete(id);
    this.none ??= el("p", { class: "empty small", hidden: true }, "No chart's name holds these words.");
    place(this.element, [...shown, this.none]);
    this.search(this.#search);
    if (this.#enlarged) {
      const spec = this.charts.get(this.#enlarged.spec.metric)?.spec;
      if (spec) this.#enlarged.update(spec);
    }
  }

  #chart(spec) {
    let chart = this.charts.get(spec.metric);
    if (chart) chart.update(spec);
    else {
      chart = new Chart(spec, this);
      this.charts.set(spec.metric, chart);
      this.observer.observe(chart.element);
    }
    return chart;
  }

  /** Every chart of a metric: its card, and the one in full screen. */
  of(metric) {
    return [this.charts.get(metric), this.#enlarged?.spec.metric === metric ? this.#enlarged : null].filter(Boolean);
  }

  /** Shows only charts whose name holds every word of `text`. */
  search(text) {
    this.#search = text;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const section of this.#sections.values()) {
      let here = 0;
      for (const spec of section.specs) {
        const name = `${spec.metric} ${spec.verdict}`.toLowerCase();
        const fits = words.every((word) => name.includes(word));
        this.charts.get(spec.metric).element.hidden = !fits;
        here += fits;
      }
      section.element.hidden = !here && words.length > 0;
      section.count.textContent = words.length
        ? `${here} of ${counted(section.specs.length, "chart")}`
        : counted(section.specs.length, "chart");
      found += here;
    }
    if (this.none) this.none.hidden = found > 0 || !words.length;
    return found;
  }

  // Drawing

  /** A chart has something new to load or to draw. */
  changed(chart) {
    this.#waiting.add(chart);
    this.#wake();
  }

  /** Draws all charts again from the points that are there. */
  redraw() {
    for (const chart of this.#all()) this.changed(chart);
  }

  /** Asks for all points again; the old ones stay on the page until then. */
  refetch() {
    for (const chart of this.#all()) chart.stale();
  }

  /** Forgets all points: they are against another axis. */
  reset() {
    for (const chart of this.#all()) chart.reset();
  }

  #all() {
    return [...this.charts.values(), ...(this.#enlarged ? [this.#enlarged] : [])];
  }

  #seen(entries) {
    for (const entry of entries) {
      const chart = this.charts.get(entry.target.dataset.metric);
      if (!chart || chart.element !== entry.target) continue;
      chart.visible = entry.isIntersecting;
      if (chart.visible && (!chart.frame || this.#waiting.has(chart))) this.changed(chart);
    }
  }

  #resized() {
    for (const chart of this.#all())
      if (chart.frame && chart.frame.width !== chart.plot.clientWidth) this.changed(chart);
  }

  #wake() {
    if (this.#frame || this.#drawing || document.hidden) return;
    const early = this.#rested - performance.now();
    if (early > 4) this.#frame = setTimeout(() => (this.#frame = requestAnimationFrame(() => this.#draw())), early);
    else this.#frame = requestAnimationFrame(() => this.#draw());
  }

  async #draw() {
    this.#frame = 0;
    this.#drawing = true;
    const start = performance.now();
    const ready = [...this.#waiting].filter((chart) => chart.visible && !chart.element.hidden);
    for (const chart of ready) if (!chart.loaded) chart.load();
    if (!window.Plotly && ready.map((chart) => chart.sketch()).some(Boolean)) {
      await shown(); // before Plotly runs for the first time, which takes long
      document.documentElement.dataset.painted ??= String(performance.now());
    }
    let left = false;
    let live = false; // true where a chart is drawn again
    for (const chart of ready) {
      if (performance.now() - start > BUDGET) {
        left = true;
        break;
      }
      this.#waiting.delete(chart);
      live ||= chart.frame !== null;
      try {
        await chart.draw();
      } catch (error) {
        console.error(error);
      }
    }
    this.#drawing = false;
    const end = performance.now();
    if (live) this.#rested = end + Math.min(LONGEST_REST, REST * (end - start));
    if (left || [...this.#waiting].some((chart) => chart.visible && !chart.element.hidden)) this.#wake();
  }

  // The cursor

  /** Shows the cursor at `x` in every chart of the stage of `chart`. */
  cursor(chart, x) {
    this.#pending = { chart, x };
    this.#pendingFrame ??= requestAnimationFrame(() => {
      this.#pendingFrame = null;
      const { chart: own, x: at } = this.#pending;
      for (const other of this.#all()) {
        const same = other.spec.stage === own.spec.stage && other.frame && (other.visible || other.large);
        const shown =
          at !== null && same && (other === own || other.spec.axis === own.spec.axis || this.settings.x === "time");
        if (shown) other.showCursor(at + distance(own.origin, other.origin), other === own);
        else if (other.cursorAt !== null && other.cursorAt !== undefined) other.showCursor(null, false);
      }
    });
  }

  #pending = null;
  #pendingFrame = null;

  // Full screen

  /** Shows a chart over the whole window. */
  enlarge(chart) {
    if (this.#enlarged) return;
    const large = new Chart(chart.spec, this, { large: true, origin: chart.origin });
    large.visible = true;
    this.#enlarged = large;
    const close = iconButton("close", "Close", () => dialog.close());
    large.actions.append(close);
    large.title.textContent = chart.spec.metric;
    const keys = el(
      "p",
      { class: "dialog-note" },
      "Drag to zoom; double-click to show the whole chart. The arrow keys step through the points.",
    );
    const dialog = el("dialog", { class: "full-screen", "aria-label": chart.spec.metric }, large.element, keys);
    showDialog(dialog, () => {
      this.#enlarged = null;
      this.#waiting.delete(large);
      large.release();
      sized.disconnect();
      chart.stageElement.focus({ preventScroll: true });
    });
    const sized = new ResizeObserver(() => this.changed(large));
    sized.observe(large.plot);
    large.stageElement.focus({ preventScroll: true });
    if (chart.window) large.zoomTo(chart.window.x, chart.window.y);
    this.changed(large);
  }

  /** The cards that can be seen, in their order on the page. */
  order() {
    return [...this.element.querySelectorAll(".chart")].filter((card) => card.offsetParent !== null);
  }

  /** Moves the focus to the next card, or the one before. */
  step(by) {
    const cards = this.order();
    const at = cards.findIndex((card) => card.contains(document.activeElement));
    const next = cards[at < 0 ? 0 : Math.max(0, Math.min(cards.length - 1, at + by))];
    const target = next?.querySelector(".plot-area:not([hidden])") ?? next?.querySelector(".why code, .copy");
    target?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  /** Scrolls to a chart and marks it for a moment. */
  reveal(metric) {
    const card = this.charts.get(metric)?.element;
    if (!card) return;
    card.closest("section")?.classList.remove("closed");
    card.scrollIntoView({ block: "center", behavior: "instant" });
    card.classList.add("marked");
    setTimeout(() => card.classList.remove("marked"), 1600);
    (card.querySelector(".plot-area:not([hidden])") ?? card.querySelector("code"))?.focus({ preventScroll: true });
  }
}

/** When what was put on the page is seen. */
const shown = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

function makeSection(title) {
  const grid = el("div", { class: "grid" });
  const note = el("span", { class: "section-note" });
  const total = el("span", { class: "section-count" });
  const toggle = el(
    "button",
    { type: "button", class: "section-toggle", "aria-expanded": "true" },
    icon("turn"),
    el("i", { class: "stage-dot" }),
    el("span", { class: "section-title" }, title),
  );
  const element = el("section", { class: "stage", "aria-label": title }, el("h2", {}, toggle, total, note), grid);
  toggle.addEventListener("click", () => {
    const closed = element.classList.toggle("closed");
    toggle.setAttribute("aria-expanded", String(!closed));
  });
  return { element, grid, note, count: total, specs: [] };
}
