// A chart's lines without its axes: there at once, while the script that draws charts is still to run.

import { scale, themeColor } from "./plot.js";

const SVG = "http://www.w3.org/2000/svg";

/** Lines within their extent, where the chart will have them; `size`: {logY, width, height}. */
export function sketch(lines, range, size) {
  const { across, down } = scale(range, size);
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
