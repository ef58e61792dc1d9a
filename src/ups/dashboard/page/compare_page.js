// Several runs in the same charts, each with its own colour.

import { Board } from "./board.js";
import { axisName, commonest } from "./chart.js";
import { el, place } from "./dom.js";
import { emptyState, shell, statePill } from "./shell.js";
import { counted, runName } from "./format.js";
import { RunSource, stream } from "./source.js";
import { readSettings, tools } from "./tools.js";
import { verdictName } from "./findings.js";

const COLORS = 12;
const REFETCH_EVERY = 2000; // ms

/** The page that compares the runs of these keys. */
export async function comparePage(keys) {
  const board = new Board(readSettings());
  let view = "wandb";
  const bar = tools(board, {
    onAxis: () => show(),
    view: {
      get: () => view,
      set(chosen) {
        view = chosen;
        show();
        board.refetch();
      },
    },
  });
  const page = shell("compare", { keys: bar.keys });
  page.setTitle("Compare");
  place(page.crumbs, [
    el("a", { href: "/" }, "Runs"),
    el("span", { class: "crumb", "aria-current": "page" }, "Compare"),
  ]);
  const legend = el("ul", { class: "legend", "aria-label": "Runs" });
  page.main.append(el("header", { class: "run-head" }, el("h1", {}, "Compare"), legend), bar.element, board.element);

  const runs = keys.map((key, at) => ({
    key,
    source: new RunSource(key),
    color: `--r${at % COLORS}`,
    shown: true,
    run: null,
    error: null,
  }));
  const read = async (each) => {
    try {
      each.run = await each.source.run();
    } catch (error) {
      each.error = error.message;
    }
  };
  const show = () => {
    place(
      legend,
      runs.map((each) => legendItem(each, show)),
    );
    const metrics = new Map();
    for (const each of runs) {
      if (!each.run || !each.shown) continue;
      for (const chart of each.run.views[view] ?? each.run.views.wandb) {
        if (!metrics.has(chart.metric)) metrics.set(chart.metric, []);
        metrics.get(chart.metric).push({ each, chart });
      }
    }
    const stages = new Map();
    for (const each of runs) for (const stage of each.run?.card.stages ?? []) stages.set(stage.name, []);
    for (const [metric, held] of metrics) {
      const stage = held.find(({ chart }) => chart.stage !== null)?.chart.stage ?? null;
      if (!stages.has(stage)) stages.set(stage, []);
      stages.get(stage).push(spec(metric, stage, held, view));
    }
    const byTime = board.settings.x === "time";
    const against = (specs) => {
      const axis = commonest(specs.filter((each) => !each.mixed).map((each) => each.axis));
      for (const each of specs) each.sectionAxis = byTime ? each.axis : axis;
      return byTime ? "against time" : axis ? `against ${axisName(axis)}` : "";
    };
    const sections = [...stages]
      .filter(([, specs]) => specs.length)
      .map(([stage, specs]) => ({
        id: stage === null ? "" : `stage ${stage}`,
        title: stage ?? "Other charts",
        note: against(specs),
        color: "var(--ink-3)",
        specs,
      }));
    board.show(sections);
    bar.setDiffers(runs.some((each) => each.run?.differs));
  };
  await Promise.all(runs.map(read));
  if (!runs.some((each) => each.run)) {
    page.main.replaceChildren(
      emptyState({
        title: "No runs to compare",
        lines: [runs[0]?.error ?? "Choose two or more on the runs page, then Compare."],
      }),
    );
    document.body.dataset.ready = "1";
    return;
  }
  show();
  document.body.dataset.ready = "1";

  const changed = new Set();
  let waiting = null;
  const refresh = async () => {
    waiting = null;
    const now = [...changed];
    changed.clear();
    await Promise.all(now.map(read));
    show();
    const metrics = new Set(now.flatMap((each) => each.run?.views[view].map((chart) => chart.metric) ?? []));
    for (const metric of metrics) for (const chart of board.of(metric)) chart.stale();
  };
  const take = (card) => {
    const each = runs.find(({ key }) => key === card.key);
    if (!each?.run || (each.run.card.rows === card.rows && each.run.card.state === card.state)) return;
    changed.add(each);
    waiting ??= setTimeout(refresh, REFETCH_EVERY);
  };
  const drop = ({ key }) => {
    const each = runs.find((one) => one.key === key);
    if (each?.run)
      page.setBanner(
        `${runName(each.run.card)} was deleted from the disk. The page keeps what it had read.`,
      );
  };
  stream(() => "/api/events", {
    handlers: {
      runs({ runs: there }) {
        there.forEach(take);
        runs.filter(({ key }) => !there.some((card) => card.key === key)).forEach(drop);
      },
      run: take,
      gone: drop,
    },
    onState(state) {
      page.setLive(runs.some((each) => each.run?.card.state === "running") ? state : "ended");
    },
  });
}

function spec(metric, stage, held, view) {
  const axes = [...new Set(held.map(({ chart }) => chart.axis))];
  const each = axes.map((axis) => {
    const runs = held.filter(({ chart }) => chart.axis === axis).map(({ each }) => runName(each.run.card));
    return `${axisName(axis)} in ${runs.join(", ")}`;
  });
  const worst = held.filter(({ chart }) => chart.verdict !== "full");
  return {
    metric,
    stage,
    axis: axes.length === 1 ? axes[0] : `different axes: ${each.join("; ")}`,
    mixed: axes.length > 1,
    verdict: worst[0]?.chart.verdict ?? "full",
    rows: held.reduce((sum, { chart }) => sum + chart.rows, 0),
    points: held.reduce((sum, { chart }) => sum + chart.points, 0),
    notFinite: held.reduce((sum, { chart }) => sum + chart.not_finite, 0),
    findings: worst.flatMap(({ each, chart }) => {
      const finding = each.run.findings.find((one) => one.metric === metric && one.code === chart.verdict);
      const name = runName(each.run.card);
      return finding ? [{ ...finding, message: `${name}, ${verdictName(chart.verdict)}: ${finding.message}` }] : [];
    }),
    lines: held
      .filter(({ chart }) => chart.points || chart.not_finite)
      .map(({ each }) => ({
        key: each.key,
        label: runName(each.run.card),
        color: each.color,
        source: each.source,
        view,
      })),
  };
}

function legendItem(each, show) {
  const name = each.run ? runName(each.run.card) : each.key;
  const box = el("input", { type: "checkbox", checked: each.shown, disabled: !each.run });
  box.addEventListener("change", () => {
    each.shown = box.checked;
    show();
  });
  const card = each.run?.card;
  return el(
    "li",
    { vars: { "--color": `var(${each.color})` } },
    el("label", {}, box, el("i", { "aria-hidden": "true" }), el("span", {}, name)),
    card ? statePill(card.state) : null,
    card
      ? el("span", { class: "muted" }, counted(card.rows ?? 0, "row"))
      : el("span", { class: "message" }, each.error),
    card ? el("a", { href: `/run/${encodeURIComponent(each.key)}`, "aria-label": `Open ${name}` }, "Open") : null,
  );
}
