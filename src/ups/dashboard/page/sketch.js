// A chart's lines without its axes: shown at once, before the script that draws charts runs.

import { scale, themeColor } from "./plot.js";

const SVG = "http://www.w3.org/2000/svg";

/** Lines within their extent, where the chart will have them; `size`: {logY, width, height}. */
export function sketch(lines, range, size) {
  const { across, down } = scale(range, size);
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "sketch");
  drawing.setAttribute("aria-hidden", "true");
  for (const { x, y, breaks, color } of lines) {
    const course = document.createElementNS(SVG, "path");
    const gaps = new Set(breaks);
    let to = "M";
    let drawn = "";
    for (let at = 0; at < x.length; at++) {
      const point = [across(x[at]), down(y[at])];
      const seen = point.every(Number.isFinite);
      if (!seen || gaps.has(at)) to = "M";
      if (!seen) continue;
      drawn += to + point.map((value) => value.toFixed(1)).join(",");
      to = "L";
    }
    course.setAttribute("d", drawn);
    course.setAttribute("stroke", themeColor(color));
    drawing.append(course);
  }
  return drawing;
}
