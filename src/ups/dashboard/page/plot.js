// From lines of points to what Plotly draws. Names of a run go to Plotly only for a picture, and there escaped.

import { smoothed } from "./smoothing.js";
import { number, timeUnit } from "./format.js";

export const MARGIN = { l: 50, r: 12, t: 10, b: 26 }; // the left one is wider where the numbers are
const BESIDE = 12; // pixels to the left and right of a number on the y axis
const FONT = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 11 };
const PADDING = 0.06; // of the y range, above and below
const FEW = 40; // points up to which each is a dot as well
export const UNITS = { days: " d", hours: " h", minutes: " min", seconds: " s" };
const MARKS = {
  nan: { symbol: "x-thin-open", y: 0.035 },
  "-inf": { symbol: "triangle-down", y: 0.035 },
  inf: { symbol: "triangle-up", y: 0.965 },
};

let loading = null;
let revision = 0;

/** Plotly's script, from this server; a report holds it already. */
export function loadPlotly() {
  loading ??= window.Plotly
    ? Promise.resolve(window.Plotly)
    : new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = "/static/plotly.js";
        script.onload = () => resolve(window.Plotly);
        script.onerror = () => {
          loading = null;
          reject(new Error("Plotly's script could not be loaded"));
        };
        document.head.append(script);
      });
  return loading;
}

/** The colour of a CSS variable. */
export const themeColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * Where the points of lines lie: the ranges of both axes, for the eye; the y axis' ticks, and how wide it is (`left`).
 *
 * `lines`: [{x, y, marks}]; `window`: {x: [from, to], y: [from, to] | null} | null, as the reader zoomed.
 */
export function extent(lines, { logY, window, height }) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  let count = 0;
  for (const { x, y, marks } of lines) {
    for (let at = 0; at < x.length; at++) {
      if (x[at] < left) left = x[at];
      if (x[at] > right) right = x[at];
      if (window && (x[at] < window.x[0] || x[at] > window.x[1])) continue;
      if (logY && !(y[at] > 0)) continue;
      count += 1;
      if (y[at] < low) low = y[at];
      if (y[at] > high) high = y[at];
    }
    for (const mark of marks) {
      if (mark.x < left) left = mark.x;
      if (mark.x > right) right = mark.x;
    }
  }
  if (left > right) [left, right] = [0, 1];
  if (left === right) [left, right] = [left - 1, right + 1];
  const x = window ? window.x : [left, right];
  if (low > high) [low, high] = logY ? [0.1, 10] : [0, 1];
  let y = logY ? [Math.log10(low), Math.log10(high)] : [low, high];
  if (y[0] === y[1])
    y = y[0] === 0 || logY ? [y[0] - 1, y[0] + 1] : [y[0] - Math.abs(y[0]) * 0.5, y[0] + Math.abs(y[0]) * 0.5];
  const pad = (y[1] - y[0]) * PADDING;
  y = window?.y ?? [y[0] - pad, y[1] + pad];
  const marked = count ? ticks(y, logY, height) : { values: [], texts: [] };
  const margin = Math.max(MARGIN.l, Math.ceil(widest(marked.texts)) + BESIDE);
  return { x, y, full: [left, right], count, ticks: marked, left: margin };
}

/** From values within an extent to pixels of a chart of this size: `{across, down}`. */
export function scale(range, { logY, width, height }) {
  return {
    across: (x) => range.left + ((x - range.x[0]) / (range.x[1] - range.x[0])) * (width - range.left - MARGIN.r),
    down(y) {
      const at = logY ? Math.log10(y) : y;
      return MARGIN.t + (1 - (at - range.y[0]) / (range.y[1] - range.y[0])) * (height - MARGIN.t - MARGIN.b);
    },
  };
}

/** Plotly's traces and layout for lines within their extent, and the unit of x. */
export function figure(lines, range, { logY, time, smoothing, zoomed, width }) {
  const [unitName, unit] = time ? timeUnit(range.full[1] - range.full[0]) : ["", 1];
  const scaled = (x) => (unit === 1 ? x : x.map((value) => value / unit));
  const traces = [];
  for (const line of lines) {
    const lineColor = themeColor(line.color);
    const { x, y } = withGaps(scaled(line.x), line.y, line.breaks);
    const dots = line.x.length <= FEW || line.x.every((value) => value === line.x[0]);
    const trace = {
      type: "scatter",
      mode: dots ? "lines+markers" : "lines",
      x,
      hoverinfo: "skip",
      name: line.label,
      cliponaxis: zoomed,
    };
    const style = { color: lineColor, width: 1.6, shape: "linear", simplify: false };
    if (smoothing > 0 && line.y.length > 2) {
      traces.push({
        ...trace,
        mode: "lines",
        y,
        line: { ...style, width: 1.2 },
        opacity: 0.28,
        showlegend: false,
      });
      const course = line.course ?? line;
      const values = smoothed(course, smoothing, range.full[1] - range.full[0]);
      traces.push({
        ...trace,
        mode: "lines",
        ...withGaps(scaled(course.x), values, course.breaks),
        line: { ...style, width: 2 },
      });
    } else {
      traces.push({
        ...trace,
        y,
        line: style,
        marker: { size: line.x.length === 1 ? 8 : 4.5, color: lineColor },
      });
    }
    const alone = dots ? [] : isolated(line);
    if (alone.length) {
      traces.push({
        ...trace,
        mode: "markers",
        x: alone.map((at) => line.x[at] / unit),
        y: alone.map((at) => line.y[at]),
        marker: { size: 3, color: lineColor },
        showlegend: false,
      });
    }
    for (const [kind, { symbol, y: height }] of Object.entries(MARKS)) {
      const at = line.marks.filter((mark) => mark.kind === kind).map((mark) => mark.x);
      if (!at.length) continue;
      const color = themeColor("--bad");
      const marker = { symbol, size: 8, color, line: { width: symbol.endsWith("open") ? 2 : 0, color } };
      traces.push({
        type: "scatter",
        mode: "markers",
        x: scaled(at),
        y: at.map(() => height),
        yaxis: "y2",
        marker,
        cliponaxis: zoomed,
        hoverinfo: "skip",
        showlegend: false,
      });
    }
  }
  const ink = themeColor("--ink-2");
  const grid = themeColor("--grid");
  const font = { ...FONT, color: ink };
  const axis = {
    zeroline: false,
    gridcolor: grid,
    linecolor: themeColor("--line"),
    tickfont: font,
    ticks: "outside",
    ticklen: 4,
    tickcolor: "rgba(0,0,0,0)",
    automargin: false,
    fixedrange: false,
  };
  const layout = {
    datarevision: ++revision, // points are added to the arrays that Plotly has
    margin: { ...MARGIN, l: range.left },
    font,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false,
    hovermode: false,
    dragmode: "zoom",
    xaxis: {
      ...axis,
      type: "linear",
      range: range.x.map((value) => value / unit),
      showgrid: false,
      showline: true,
      nticks: Math.max(4, Math.round(width / 70)),
      ticksuffix: UNITS[unitName] ?? "",
      showticksuffix: "last",
      showexponent: "all", // not as the suffix
    },
    yaxis: {
      ...axis,
      type: logY ? "log" : "linear",
      showticklabels: range.count > 0,
      range: [...range.y],
      tickmode: "array",
      tickvals: range.ticks.values,
      ticktext: range.ticks.texts,
    },
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
  };
  return { traces, layout, unit, unitName };
}

// A line with nothing before each of `breaks`, where values were logged that are not finite.
function withGaps(x, y, breaks) {
  const found = { x: [], y: [] };
  let from = 0;
  for (const at of [...breaks.filter((each) => each > 0 && each < x.length), x.length]) {
    if (from) {
      found.x.push(x[from]);
      found.y.push(null);
    }
    for (; from < at; from++) {
      found.x.push(x[from]);
      found.y.push(y[from]);
    }
  }
  return found;
}

// The points that no line leads to.
function isolated({ x, breaks }) {
  const starts = [...new Set([0, ...breaks, x.length])];
  return starts.filter((start, at) => starts[at + 1] === start + 1);
}

/** Ticks of a y axis, few: `{values, texts}`, each with enough digits to differ from the next. */
function ticks([low, high], logY, height) {
  const most = Math.max(4, Math.round(height / 36));
  if (!logY) return evenTicks(low, high, most);
  const decades = high - low;
  if (decades < 0.7) return evenTicks(10 ** low, 10 ** high, most);
  const values = [];
  const stride = Math.max(1, Math.ceil(decades / 6));
  for (let power = Math.floor(low); power <= high; power++) {
    if (power % stride) continue;
    for (const digit of decades < 2 ? [1, 2, 5] : [1]) values.push(Number(`${digit}e${power}`));
  }
  const within = values.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
  return { values: within, texts: within.map(number) };
}

// Multiples of 1, 2 or 5 times a power of ten.
function evenTicks(low, high, most) {
  const rough = (high - low) / most;
  let power = Math.floor(Math.log10(rough));
  let digit = [1, 2, 5, 10].find((each) => each * 10 ** power >= rough) ?? 10;
  if (digit === 10) [digit, power] = [1, power + 1];
  const step = Number(`${digit}e${power}`);
  const values = [];
  for (let at = Math.ceil(low / step); at <= high / step && values.length <= most; at++)
    values.push(power < 0 ? (at * digit) / 10 ** -power : at * step);
  const first = Math.floor(Math.log10(Math.max(...values.map(Math.abs)) || 1)); // the place of the first digit
  const places = Math.max(0, -power);
  const plain = new Intl.NumberFormat("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  const written = (write) => values.map((value) => (value ? write(value).replace("-", "−") : "0"));
  const whole = first > 15 || places > 15 ? null : written((value) => plain.format(value));
  const scaled = written((value) => {
    const digits = (value / 10 ** first).toFixed(Math.max(0, first - power));
    return `${Number.isFinite(Number(digits)) ? digits : value.toPrecision(3)}e${first}`;
  });
  const length = (texts) => Math.max(0, ...texts.map((text) => text.length));
  const short = whole && ((first >= -3 && first <= 5) || length(whole) <= length(scaled));
  return { values, texts: short ? whole : scaled };
}

const pen = document.createElement("canvas").getContext("2d");

// The widest of some tick labels, in pixels.
function widest(texts) {
  pen.font = `${FONT.size}px ${FONT.family}`;
  return Math.max(0, ...texts.map((text) => pen.measureText(text).width));
}

/** The index of the point nearest to `x`; the last such one where several are; -1 without points. */
export function nearest(points, x) {
  let best = -1;
  let distance = Infinity;
  const within = (at) => Math.abs(points[at] - x);
  if (points.length > 64 && ordered(points)) {
    let [low, high] = [0, points.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle] < x) low = middle;
      else high = middle;
    }
    return within(low) < within(high) ? low : high;
  }
  for (let at = 0; at < points.length; at++) {
    if (within(at) <= distance) [best, distance] = [at, within(at)];
  }
  return best;
}

const orders = new WeakMap();

function ordered(points) {
  const known = orders.get(points);
  if (known?.length === points.length) return known.ordered;
  let is = true;
  for (let at = 1; at < points.length && is; at++) is = points[at] >= points[at - 1];
  orders.set(points, { length: points.length, ordered: is });
  return is;
}

const MARKUP = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** Escapes text, so that Plotly finds no markup in it. */
const plain = (text) => text.replace(/[&<>]/g, (letter) => MARKUP[letter]);

/** A PNG of a figure at twice its size, with its title, as a data address. */
export async function picture({ traces, layout }, { title, axis, legend, width, height }) {
  const Plotly = await loadPlotly();
  const background = themeColor("--surface");
  const ink = themeColor("--ink");
  return Plotly.toImage(
    {
      data: traces.map((trace) => ({ ...trace, name: plain(trace.name ?? "") })),
      layout: {
        ...layout,
        width,
        height,
        paper_bgcolor: background,
        plot_bgcolor: background,
        margin: { l: layout.margin.l + 14, r: 24, t: 48, b: legend ? 84 : 52 },
        showlegend: legend,
        legend: { orientation: "h", y: -0.22, font: { color: ink } },
        title: { text: plain(title), font: { size: 15, color: ink }, x: 0.02, xanchor: "left" },
        xaxis: { ...layout.xaxis, title: { text: plain(axis), font: { size: 11 } } },
      },
    },
    { format: "png", width, height, scale: 2 },
  );
}
