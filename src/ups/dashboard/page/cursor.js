// The cursor of a chart: a line at one x, a dot on each line of points, and the values there.

import { el, place } from "./dom.js";
import { count, exact, number } from "./format.js";
import { numberAt } from "./origin.js";
import { MARGIN, UNITS, nearest, scale } from "./plot.js";

const APART = 12; // pixels from the cursor to its list

export class Cursor {
  line = el("div", { class: "cursor-line", hidden: true });
  dots = el("div", { class: "cursor-dots", "aria-hidden": "true" });
  tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });

  /** True where the chart shows none. */
  get hidden() {
    return this.line.hidden;
  }

  hide() {
    this.line.hidden = this.tip.hidden = true;
    this.dots.replaceChildren();
  }

  /** The x below a pixel, counted from the left of the chart; null beside its axis. */
  static at(pixel, { range, width }) {
    const share = (pixel - range.left) / (width - range.left - MARGIN.r);
    if (share < -0.01 || share > 1.01) return null;
    return range.x[0] + Math.max(0, Math.min(1, share)) * (range.x[1] - range.x[0]);
  }

  /**
   * Shows the points of `lines` nearest to `x`. `withTip`: also a list of their values beside it.
   *
   * Returns the points, [{line, x, y, index, text}], and their place in words.
   */
  show(lines, x, frame, { byTime, withTip }) {
    const { range, width, unit, figure, origin } = frame;
    const { across, down } = scale(range, frame);
    const within = (value) => value >= range.x[0] && value <= range.x[1];
    const points = lines.map((line) => {
      const index = nearest(line.x, x);
      return { line, x: line.x[index], y: line.y[index], index, text: valueText(line, index) };
    });
    const whole = points.every((point) => Number.isInteger(point.x));
    const at = points.length === 1 ? points[0].x : whole ? Math.round(x) : x;
    this.line.hidden = !within(at);
    this.line.style.setProperty("--at", `${across(at)}px`);
    const seen = points.filter((point) => within(at) && within(point.x) && Number.isFinite(down(point.y)));
    this.dots.replaceChildren(
      ...seen.map((point) =>
        el("i", { vars: { "--x": `${across(point.x)}px`, "--y": `${down(point.y)}px`, "--color": color(point) } }),
      ),
    );
    this.tip.hidden = !withTip;
    if (withTip) {
      place(this.tip, points.map(tipRow));
      this.tip.style.setProperty("--left", `${beside(across(at), this.tip.offsetWidth, width)}px`);
    }
    let where = whole ? exact(at) : number(at);
    if (byTime) where = `${number(Number((at / unit).toPrecision(3)))}${UNITS[figure.unitName]}`;
    else if (points.length === 1) where = xText(points[0].line, points[0].index);
    else if (origin !== undefined) where = count(numberAt(at, origin));
    return { points, where };
  }
}

/** Where a box of this width begins: behind the cursor, or else before it, or else within the chart. */
function beside(at, own, width) {
  if (at + APART + own <= width) return at + APART;
  return Math.max(0, at - APART >= own ? at - APART - own : width - own);
}

/** The value of a point, with all its digits. */
export const valueText = (line, index) => exact(line.y[index], line.y_digits?.[index]);

/** The x of a point, with all its digits. */
export const xText = (line, index) => exact(line.x[index], line.x_digits?.[index]);

const color = (point) => `var(${point.line.color})`;

function tipRow(point) {
  const swatch = el("i", { vars: { "--color": color(point) } });
  return el("div", {}, swatch, el("span", {}, point.line.label), el("b", {}, point.text));
}
