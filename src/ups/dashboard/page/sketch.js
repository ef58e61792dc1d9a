// A chart's lines without its axes: there at once, while the script that draws charts is still to run.

import { MARGIN, themeColor } from "./plot.js";

const SVG = "http://www.w3.org/2000/svg";

/** Lines within their extent, where the chart will have them; `range` as `extent` gives it. */
export function sketch(lines, range, { logY, width, height }) {
  const across = (x) => MARGIN.l + ((x - range.x[0]) / (range.x[1] - range.x[0])) * (width - MARGIN.l - MARGIN.r);
  const down = (y) => {
    const at = logY ? Math.log10(y) : y;
    return MARGIN.t + (1 - (at - range.y[0]) / (range.y[1] - range.y[0])) * (height - MARGIN.t - MARGIN.b);
  };
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "sketch");
  drawing.setAttribute("aria-hidden", "true");
  for (const { x, y, color } of lines) {
    const course = document.createElementNS(SVG, "polyline");
    const points = x.map((value, at) => [across(value), down(y[at])]).filter((point) => point.every(Number.isFinite));
    course.setAttribute("points", points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" "));
    course.setAttribute("stroke", themeColor(color));
    drawing.append(course);
  }
  return drawing;
}
