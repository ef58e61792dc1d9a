// The findings of a run and its charts: message, cause and fix.

import { copyButton, el, icon } from "./dom.js";
import { counted, shortName } from "./format.js";

const ORDER = { error: 0, warning: 1, info: 2 };

/** A verdict in words: `never-logged` is `never logged`. */
export const verdictName = (verdict) => verdict.replaceAll("-", " ");

/** A finding's message, cause and fix, as it stands in a chart. */
export function explanation(finding) {
  return el(
    "div",
    { class: `explanation ${finding.severity}` },
    el("p", { class: "what" }, sentence(finding.message, finding.metric)),
    el("p", { class: "cause" }, el("b", {}, "Why "), sentence(finding.cause, finding.metric)),
    fix(finding.fix),
    finding.command ? fix(finding.command, "Repair a copy") : null,
  );
}

function fix(text, label = "Fix") {
  return el("div", { class: "fix" }, el("b", {}, label), el("code", { tabindex: 0 }, text), copyButton(text));
}

/**
 * The list of a run's findings, worst first. Equal findings about several charts are one entry.
 *
 * `hasChart`: true for a metric with a chart that can be shown.
 */
export function findingsList(findings, { showChart, hasChart }) {
  if (!findings.length) {
    return el(
      "div",
      { class: "empty" },
      icon("done"),
      el("h2", {}, "Nothing is wrong with this run"),
      el("p", {}, "Every chart shows a line, and every row was read."),
    );
  }
  const groups = new Map();
  for (const finding of [...findings].sort((a, b) => ORDER[a.severity] - ORDER[b.severity])) {
    const key = JSON.stringify([
      finding.code,
      finding.severity,
      finding.stage,
      finding.cause,
      finding.metric === null ? finding.message : "",
    ]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(finding);
  }
  return el(
    "ol",
    { class: "findings" },
    [...groups.values()].map((group) => item(group, showChart, hasChart)),
  );
}

function item(group, showChart, hasChart) {
  const [first] = group;
  const drawn = hasChart(first.metric); // findings about tables and images have no chart
  const several = counted(group.length, drawn ? "chart" : "name");
  const about = first.metric === null ? "the run" : group.length === 1 ? first.metric : several;
  const charts = group.filter((finding) => finding.metric !== null && (drawn || group.length > 1));
  const fixes = [...new Set(group.map((finding) => finding.fix))];
  const commands = [...new Set(group.map((finding) => finding.command).filter(Boolean))];
  return el(
    "li",
    { class: `finding ${first.severity}`, data: { code: first.code, severity: first.severity } },
    el(
      "div",
      { class: "finding-head" },
      el("span", { class: `chip ${first.severity}` }, verdictName(first.code)),
      el("h3", {}, about),
      el("span", { class: "severity" }, first.severity),
    ),
    group.length === 1 ? el("p", { class: "what" }, sentence(first.message, first.metric)) : null,
    charts.length
      ? el(
          "ul",
          { class: "finding-charts" },
          charts.map((finding) =>
            el(
              "li",
              {},
              drawn
                ? el(
                    "button",
                    { type: "button", class: "link", on: { click: () => showChart(finding.metric) } },
                    group.length === 1 ? "Show the chart" : shortName(finding.metric, finding.stage),
                  )
                : el("span", {}, finding.metric),
              group.length === 1 ? null : el("span", {}, sentence(finding.message, finding.metric)),
            ),
          ),
        )
      : null,
    el("p", { class: "cause" }, el("b", {}, "Why "), sentence(first.cause, first.metric)),
    fixes.map((text) => fix(text)),
    commands.map((text) => fix(text, "Repair a copy")),
  );
}

// A metric's name at the start of a sentence stays as it is.
function sentence(text, metric) {
  const [word] = text.split(" ", 1);
  const start = /^[a-z]+,?$/.test(word) && word !== metric ? text.slice(0, 1).toUpperCase() + text.slice(1) : text;
  return /[.!?:)\]}]$/.test(start) ? start : `${start}.`;
}
