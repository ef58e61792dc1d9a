// One run: its name and state, its charts stage by stage, its findings, values, tables and images.

import { Board } from "./board.js";
import { axisName, commonest } from "./chart.js";
import { announce, copyButton, el, icon, place } from "./dom.js";
import { findingsList } from "./findings.js";
import { emptyState, healthBar, shell, stageColor, statePill } from "./shell.js";
import { age, count, counted, duration, moment, runName } from "./format.js";
import { readSettings, tools } from "./tools.js";
import { media, valueList } from "./values.js";

const TABS = { charts: "Charts", findings: "Findings", values: "Summary & config", media: "Tables & images" };

/** The page of one run, from a server or from a report's own file. */
export async function runPage(source, { report = null } = {}) {
  const board = new Board(readSettings());
  let run = null;
  let view = "wandb";
  let stream = null;
  let gone = false;

  const bar = tools(board, {
    onAxis: () => run && show(),
    view: {
      get: () => view,
      set(chosen) {
        view = chosen;
        if (run) show();
        board.refetch();
        stream?.reopen();
        announce(view === "meant" ? "Charts as they were meant" : "Charts as W&B draws them");
      },
    },
  });
  const tabs = tabList(() => run && show());
  const page = shell("run", {
    report: report !== null,
    keys: [
      ...bar.keys,
      ...["charts", "findings", "values", "media"].map((id, at) => [String(at + 1), TABS[id], () => tabs.open(id)]),
    ],
  });
  const head = el("header", { class: "run-head" });
  const reading = el(
    "div",
    { class: "reading", role: "progressbar", "aria-label": "Reading the run", hidden: true },
    el("i"),
  );
  const panels = {
    charts: el("div", {}, bar.element, reading, board.element),
    findings: el("div"),
    values: el("div", { class: "two" }),
    media: el("div"),
  };
  page.main.append(head, tabs.element, ...tabs.panels(panels));

  const showChart = (metric) => {
    tabs.open("charts");
    bar.search.value = "";
    board.search("");
    board.reveal(metric);
  };

  const show = () => {
    const { card, views, findings } = run;
    const name = runName(card);
    page.setTitle(name);
    const crumb = () => el("span", { class: "crumb", "aria-current": "page" }, name);
    once(page.crumbs, [name], () => [report === null ? el("a", { href: "/" }, "Runs") : null, crumb()].filter(Boolean));
    const { rows, updated, stages, ...steady } = card; // the others change all the time, and are shown below
    once(head, [steady, views.wandb.map((chart) => chart.verdict)], () => heading(run, report).filter(Boolean));
    showRows(head, run);
    document.body.dataset.state = card.state;
    reading.hidden = run.read >= 1;
    reading.setAttribute("aria-valuenow", String(Math.round(run.read * 100)));
    reading.style.setProperty("--share", `${run.read * 100}%`);
    bar.setDiffers(run.differs);
    board.show(sections(run, views[view] ?? views.wandb, { view, source, byTime: board.settings.x === "time" }));
    if (!views.wandb.length) {
      place(panels.charts, [run.read < 1 ? reading : emptyState(nothingYet(card))]);
    } else place(panels.charts, [bar.element, reading, board.element]);
    tabs.count("charts", views.wandb.length, "");
    const bad = findings.filter((finding) => finding.severity !== "info");
    tabs.count(
      "findings",
      findings.length,
      bad.some((each) => each.severity === "error") ? "error" : bad.length ? "warning" : "",
    );
    tabs.count("media", run.tables.length + run.images.length, "");
    if (tabs.chosen === "findings") {
      const hasChart = (metric) => views.wandb.some((chart) => chart.metric === metric);
      once(panels.findings, [findings], () => [findingsList(findings, { showChart, hasChart })]);
    }
    if (tabs.chosen === "values") {
      once(panels.values, [run.summary, run.config], () => [
        valueList("Summary", run.summary, "The run has no summary."),
        valueList("Configuration", run.config, "The run has no configuration."),
      ]);
    }
    if (tabs.chosen === "media") {
      once(panels.media, [run.tables, run.images], () => [
        run.tables.length + run.images.length
          ? media(run, source)
          : emptyState({
              title: "No tables and no images",
              lines: ["Tables and images that the run logs appear here."],
              code: 'ctx.log_image("eval/rollout", picture, caption="step 20")',
            }),
      ]);
    }
    page.setLive(gone || !source.live || card.state !== "running" ? "ended" : linked);
    document.body.dataset.ready = "1";
  };

  let linked = "open";
  const take = (fresh) => {
    const before = run?.card.state;
    run = fresh;
    show();
    if (before && before !== run.card.state) announce(`The run is ${run.card.state}`);
  };

  try {
    take(await source.run());
  } catch (error) {
    if (report === null) place(page.crumbs, [el("a", { href: "/" }, "Runs")]);
    page.main.replaceChildren(
      emptyState({
        title: error.status === 404 ? "This run is not here" : "The run cannot be shown",
        lines: [error.message],
      }),
    );
    document.body.dataset.ready = "1";
    return;
  }
  if (!source.live) return;
  source.follows = true;
  stream = source.follow(
    () => view,
    {
      run: take,
      points(message) {
        run.card.rows = Math.max(run.card.rows, message.rows ?? 0);
        for (const points of message.series)
          for (const chart of board.of(points.metric)) chart.append(source.key, points);
        showRows(head, run);
      },
      gone() {
        gone = true;
        page.setBanner("This run was deleted from the disk. The page keeps what it had read.");
        show();
        stream.close();
      },
    },
    (state, back) => {
      linked = state;
      if (gone) return;
      page.setLost(state === "lost");
      if (run) page.setLive(run.card.state === "running" ? state : "ended");
      if (back) board.refetch(); // what came in between
    },
  );
  setInterval(() => !document.hidden && run && showRows(head, run), 1000);
}

function sections(run, charts, { view, source, byTime }) {
  const found = new Map(run.findings.map(({ metric }) => [metric, []]));
  for (const finding of run.findings) found.get(finding.metric).push(finding);
  const stages = [...new Set([...run.card.stages.map((stage) => stage.name), ...charts.map((chart) => chart.stage)])];
  return stages
    .map((stage, at) => {
      const here = charts.filter((chart) => chart.stage === stage);
      const color = stage === null ? "--other" : stageColor(at);
      const sectionAxis = commonest(here.map((chart) => chart.axis));
      const known = run.card.stages.find((each) => each.name === stage);
      return {
        id: stage === null ? "" : `stage ${stage}`,
        title: stage ?? "Other charts",
        note: [
          known ? progressText(known) : "",
          byTime ? "against time" : sectionAxis ? `against ${axisName(sectionAxis)}` : "",
        ]
          .filter(Boolean)
          .join(" · "),
        color: `var(${color})`,
        specs: here.map((chart) => ({
          metric: chart.metric,
          stage: chart.stage,
          axis: chart.axis,
          sectionAxis: byTime ? chart.axis : sectionAxis,
          verdict: chart.verdict,
          rows: chart.rows,
          points: chart.points,
          notFinite: chart.not_finite,
          findings: ofChart(found.get(chart.metric) ?? [], chart),
          lines: [
            {
              key: source.key,
              label: runName(run.card),
              color,
              source,
              view,
            },
          ],
        })),
      };
    })
    .filter((section) => section.specs.length);
}

// Those that hold in this view; the one that made the verdict comes first.
const ofChart = (findings, chart) =>
  findings
    .filter(({ code }) => chart.codes.includes(code))
    .sort((a, b) => (b.code === chart.verdict) - (a.code === chart.verdict));

function progressText(stage) {
  const parts = [];
  if (stage.rows) parts.push(counted(stage.rows, "row"));
  if (stage.last_step !== null && stage.last_step !== undefined) {
    parts.push(
      stage.steps_total
        ? `step ${count(stage.last_step)} of ${count(stage.steps_total)}`
        : `last step ${count(stage.last_step)}`,
    );
  }
  return parts.join(" · ");
}

function heading(run, report) {
  const { card } = run;
  const charts = run.views.wandb;
  const full = charts.filter((chart) => chart.verdict === "full").length;
  const name = runName(card);
  const facts = [
    card.run_id && card.run_id !== name
      ? el("span", { class: "fact" }, el("code", {}, card.run_id), copyButton(card.run_id, ""))
      : null,
    card.project ? el("span", { class: "fact" }, card.project) : null,
    el("span", { class: "fact rows" }),
    el("span", { class: "fact elapsed", title: card.created ? `started ${moment(card.created)}` : null }),
    ...card.tags.map((tag) => el("span", { class: "tag" }, tag)),
    report ? el("span", { class: "fact" }, report) : null,
  ];
  const parts = [
    el(
      "div",
      { class: "run-title" },
      el("h1", {}, name),
      statePill(card.state),
      charts.length
        ? healthBar(full, charts.length, card.health?.worst, {
            text: `${full} of ${counted(charts.length, "chart")} full`,
          })
        : null,
    ),
    el("div", { class: "facts" }, facts),
    card.path ? el("div", { class: "path", title: card.path }, card.path) : null,
    card.message ? el("p", { class: "message" }, icon("warning"), card.message) : null,
  ];
  return parts;
}

function showRows(head, { card }) {
  const rows = head.querySelector(".rows");
  const elapsed = head.querySelector(".elapsed");
  if (!rows) return;
  const now = Date.now() / 1000;
  const put = (element, text) => element.textContent !== text && (element.textContent = text);
  put(rows, counted(card.rows ?? 0, "row"));
  if (!card.created) return;
  const spent = duration((card.state === "running" ? now : card.updated) - card.created);
  put(elapsed, card.state === "running" ? `${spent} so far` : `${spent}, ended ${age(now - card.updated)}`);
}

function nothingYet(card) {
  if (card.state === "unreadable")
    return { title: "This run cannot be read", lines: [card.message ?? "Its files hold no records."] };
  if (card.state === "running")
    return {
      title: "No point yet",
      lines: ["The run has started, and has logged nothing so far. Its charts appear here with its first row."],
      code: 'ctx.stage("train").log(step, loss=loss)',
    };
  return {
    title: "Nothing was logged",
    lines: ["The run ended without a row. If it should have rows, let the check find out why:"],
    code: `ups check ${card.path}`,
  };
}

const keptFor = new WeakMap();

// Fills a panel only if what it shows has changed, so that an open table stays open while the run is training.
function once(panel, values, make) {
  const now = JSON.stringify(values);
  if (keptFor.get(panel) === now) return;
  keptFor.set(panel, now);
  panel.replaceChildren(...make());
}

function tabList(opened) {
  const buttons = new Map();
  const made = new Map();
  const list = {
    chosen: TABS[location.hash.slice(1)] ? location.hash.slice(1) : "charts",
    element: el("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the run" }),
    open(id, focus = false) {
      list.chosen = id;
      for (const [each, { button }] of buttons) {
        button.setAttribute("aria-selected", String(each === id));
        button.tabIndex = each === id ? 0 : -1;
        made.get(each).hidden = each !== id;
        if (each === id && focus) button.focus();
      }
      history.replaceState(null, "", id === "charts" ? location.pathname + location.search : `#${id}`);
      opened();
    },
    panels(contents) {
      return Object.entries(contents).map(([id, content]) => {
        const panel = el(
          "div",
          {
            class: `tab-panel ${id}`,
            role: "tabpanel",
            id: `panel-${id}`,
            "aria-labelledby": `tab-${id}`,
            hidden: id !== list.chosen,
          },
          content,
        );
        made.set(id, panel);
        return panel;
      });
    },
    count(id, value, severity) {
      const { badge } = buttons.get(id);
      badge.textContent = value ? count(value) : "";
      badge.className = `badge ${severity}`;
    },
  };
  for (const [id, name] of Object.entries(TABS)) {
    const badge = el("span", { class: "badge" });
    const button = el(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${id}`,
        "aria-controls": `panel-${id}`,
        "aria-selected": String(id === list.chosen),
        tabindex: id === list.chosen ? 0 : -1,
        on: { click: () => list.open(id) },
      },
      name,
      badge,
    );
    buttons.set(id, { button, badge });
    list.element.append(button);
  }
  window.addEventListener("hashchange", () => {
    const id = location.hash.slice(1) || "charts";
    if (TABS[id]) list.open(id);
  });
  list.element.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const ids = Object.keys(TABS);
    list.open(ids[(ids.indexOf(list.chosen) + by + ids.length) % ids.length], true);
  });
  return list;
}
