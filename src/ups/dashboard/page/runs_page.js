// All runs below the folders, in a table to filter, to sort and to choose from.

import { el, icon, place } from "./dom.js";
import { emptyState, healthBar, shell, stageColor, statePill } from "./shell.js";
import { age, count, counted, moment, runName } from "./format.js";
import { load, store } from "./storage.js";
import { ask, stream } from "./source.js";

const COLUMNS = [
  ["name", "Run", (card) => runName(card).toLowerCase(), 1],
  ["state", "State", (card) => ({ running: 0, crashed: 1, failed: 2, unreadable: 3, finished: 4 })[card.state] ?? 5, 1],
  ["health", "Charts full", (card) => (card.health?.charts ? card.health.full / card.health.charts : 2), 1],
  ["stages", "Stages", (card) => card.stages.length, -1],
  ["rows", "Rows", (card) => card.rows ?? -1, -1],
  ["updated", "Updated", (card) => card.updated ?? 0, -1],
];
const STORED_AS = "ups-sort";
const FIRST = 60; // rows that are there at once; the others follow in the next frames
const CHOSEN_AT_MOST = 12;

/** The page of all runs. */
export async function runsPage() {
  const cards = new Map();
  const rows = new Map();
  const chosen = new Set();
  let sort = load(STORED_AS);
  if (!COLUMNS.some(([id]) => id === sort?.[0])) sort = ["updated", -1];
  const filter = el("input", {
    type: "search",
    id: "search",
    placeholder: "Filter by name, project, tag, state or stage",
    "aria-label": "Filter the runs",
    autocomplete: "off",
    spellcheck: "false",
    value: new URLSearchParams(location.search).get("filter") ?? "",
  });
  const page = shell("runs", {
    keys: [
      ["/", "Filter the runs", () => filter.focus()],
      ["c", "Compare the chosen runs", () => compare()],
      ["j", "Next run", () => step(1)],
      ["k", "Previous run", () => step(-1)],
    ],
  });
  page.setTitle("Runs");
  const summary = el("span", { class: "runs-summary", role: "status" });
  const body = el("tbody");
  const heads = new Map();
  const all = el("input", {
    type: "checkbox",
    "aria-label": "Choose all runs in the table",
    on: { change: () => choose(shown().slice(0, CHOSEN_AT_MOST), all.checked) },
  });
  const header = el(
    "tr",
    {},
    el("th", { class: "check" }, all),
    COLUMNS.map(([id, title]) => {
      const button = el(
        "button",
        { type: "button", on: { click: () => sortBy(id) } },
        title,
        el("i", { "aria-hidden": "true" }),
      );
      const head = el("th", { scope: "col", class: `col-${id}` }, button);
      heads.set(id, head);
      return head;
    }),
  );
  const table = el("table", { class: "runs" }, el("thead", {}, header), body);
  const picked = el("span");
  const compareLink = el("a", { class: "button primary" }, "Compare");
  const selection = el(
    "div",
    { class: "selection", role: "region", "aria-label": "Chosen runs", hidden: true },
    picked,
    compareLink,
    el("button", { type: "button", class: "button", on: { click: () => choose([...chosen], false) } }, "Clear"),
  );
  const empty = el("div", { hidden: true });
  const none = el("p", { class: "empty small", hidden: true }, "No run matches the filter.");
  const content = el(
    "div",
    { class: "runs-page" },
    el(
      "div",
      { class: "runs-head" },
      el("h1", {}, "Runs"),
      summary,
      el("span", { class: "spring" }),
      el("label", { class: "search" }, icon("search"), filter),
    ),
    el("div", { class: "runs-frame" }, table, none),
    selection,
  );
  page.main.append(content, empty);

  const fits = (card) => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = [
      card.name,
      card.run_id,
      card.project,
      card.state,
      card.path,
      ...card.tags,
      ...card.stages.map((stage) => stage.name),
    ]
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const shown = () => order().filter((key) => fits(cards.get(key)));
  const order = () => {
    const [id, way] = sort;
    const value = COLUMNS.find(([each]) => each === id)[2];
    return [...cards.keys()].sort((one, other) => {
      const [a, b] = [value(cards.get(one)), value(cards.get(other))];
      return (a < b ? -1 : a > b ? 1 : 0) * way || (cards.get(other).updated ?? 0) - (cards.get(one).updated ?? 0);
    });
  };

  let drawn = 0;
  const draw = () => {
    const keys = shown();
    const now = ++drawn;
    for (const [id, head] of heads)
      head.setAttribute("aria-sort", sort[0] !== id ? "none" : sort[1] > 0 ? "ascending" : "descending");
    const row = (key) => {
      if (!rows.has(key)) rows.set(key, makeRow(cards.get(key), chosen, choose));
      return rows.get(key);
    };
    place(
      body,
      keys
        .slice(0, Math.max(FIRST, body.childElementCount && keys.every((key) => rows.has(key)) ? keys.length : FIRST))
        .map(row),
    );
    const rest = (at) => {
      if (now !== drawn || at >= keys.length) return;
      const there = keys.slice(at, at + 2 * FIRST).filter((key) => cards.has(key)); // others went since it was drawn
      body.append(...there.map(row));
      requestAnimationFrame(() => rest(at + 2 * FIRST));
    };
    requestAnimationFrame(() => rest(body.childElementCount));
    none.hidden = keys.length > 0 || !cards.size;
    const running = [...cards.values()].filter((card) => card.state === "running").length;
    summary.textContent = [
      keys.length === cards.size
        ? counted(cards.size, "run")
        : `${count(keys.length)} of ${counted(cards.size, "run")}`,
      running ? `${count(running)} running` : "",
    ]
      .filter(Boolean)
      .join(" · ");
    content.hidden = !cards.size;
    empty.hidden = cards.size > 0;
    drawChosen();
  };
  const drawChosen = () => {
    selection.hidden = !chosen.size;
    picked.textContent = counted(chosen.size, "run") + " chosen";
    const ready = chosen.size > 1;
    compareLink.toggleAttribute("aria-disabled", !ready);
    if (ready) compareLink.href = `/compare?${[...chosen].map((key) => `run=${encodeURIComponent(key)}`).join("&")}`;
    else compareLink.removeAttribute("href");
    compareLink.textContent = ready ? `Compare ${count(chosen.size)} runs` : "Choose one more to compare";
    const here = shown();
    all.checked = here.length > 0 && here.every((key) => chosen.has(key));
    all.indeterminate = chosen.size > 0 && !all.checked;
  };
  const choose = (keys, is) => {
    for (const key of keys) {
      if (is && chosen.size < CHOSEN_AT_MOST) chosen.add(key);
      else if (!is) chosen.delete(key);
      const row = rows.get(key);
      if (!row) continue;
      row.classList.toggle("chosen", chosen.has(key));
      row.querySelector("input").checked = chosen.has(key);
    }
    drawChosen();
  };
  const compare = () => chosen.size > 1 && compareLink.click();
  const sortBy = (id) => {
    const usual = COLUMNS.find(([each]) => each === id)[3];
    sort = sort[0] === id ? [id, -sort[1]] : [id, usual];
    store(STORED_AS, sort);
    draw();
  };
  const step = (by) => {
    const links = [...body.querySelectorAll("a.run-link")];
    const at = links.indexOf(document.activeElement);
    links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
  };
  filter.addEventListener("input", () => {
    const query = filter.value && `?${new URLSearchParams({ filter: filter.value })}`;
    history.replaceState(null, "", location.pathname + query); // where the browser comes back to
    draw();
  });

  /** Takes a card; only the cells that have changed are replaced, so that a click under way still meets its target. */
  const take = (card) => {
    cards.set(card.key, card);
    const row = rows.get(card.key);
    if (!row) return;
    const focused = row.contains(document.activeElement) ? document.activeElement.tagName : null;
    row.dataset.state = card.state;
    const cells = [...row.cells];
    [...makeRow(card, chosen, choose).cells].forEach((fresh, at) => {
      if (!fresh.isEqualNode(cells[at])) cells[at].replaceWith(fresh);
    });
    if (focused && !row.contains(document.activeElement)) row.querySelector(focused)?.focus();
  };
  let folders = [];
  const takeAll = (answer) => {
    folders = answer.folders;
    const keys = new Set(answer.runs.map((card) => card.key));
    for (const key of [...cards.keys()]) if (!keys.has(key)) drop(key);
    answer.runs.forEach(take);
    place(empty, [
      emptyState({
        title: "No runs here yet",
        lines: [
          `This page looks below ${folders.join(", ")}. A run appears here as soon as it starts, whether it logs with UPS or with plain wandb.`,
        ],
        code: 'import ups\n\nwith ups.create_wandb_context({}, mode="offline") as ctx:\n    stage = ctx.stage("train")\n    for step in range(100):\n        stage.log(step, loss=1 / (step + 1))',
      }),
    ]);
    draw();
  };
  const drop = (key) => {
    cards.delete(key);
    chosen.delete(key);
    rows.get(key)?.remove();
    rows.delete(key);
  };

  try {
    takeAll(await ask("/api/runs"));
  } catch (error) {
    page.main.replaceChildren(emptyState({ title: "The runs cannot be shown", lines: [error.message] }));
    return;
  }
  document.body.dataset.ready = "1";
  let soon = null;
  const drawSoon = () =>
    (soon ??= setTimeout(() => {
      soon = null;
      draw();
    }, 250));
  stream(() => "/api/events", {
    handlers: {
      runs: takeAll,
      run(card) {
        const known = cards.has(card.key);
        take(card);
        if (!known || sort[0] !== "updated" || shown()[0] !== card.key) drawSoon();
      },
      gone({ key }) {
        drop(key);
        drawSoon();
      },
    },
    onState(state) {
      page.setLive(state);
      page.setLost(state === "lost");
    },
  });
  setInterval(() => {
    if (document.hidden) return;
    for (const time of body.querySelectorAll("time")) {
      const text = age(Date.now() / 1000 - Number(time.dataset.at));
      if (time.textContent !== text) time.textContent = text;
    }
  }, 5000);
}

function makeRow(card, chosen, choose) {
  const name = runName(card);
  const box = el("input", { type: "checkbox", "aria-label": `Choose ${name}`, checked: chosen.has(card.key) });
  box.addEventListener("change", () => choose([card.key], box.checked));
  const below = [card.project, card.run_id !== name ? card.run_id : null].filter(Boolean).join(" · ");
  const row = el(
    "tr",
    { data: { key: card.key, state: card.state }, class: chosen.has(card.key) ? "chosen" : null },
    el("td", { class: "check" }, box),
    el(
      "td",
      { class: "name" },
      el("a", { class: "run-link", href: `/run/${encodeURIComponent(card.key)}`, title: card.path }, name),
      el(
        "div",
        { class: "below" },
        el("span", {}, below || card.path),
        card.tags.map((tag) => el("span", { class: "tag" }, tag)),
      ),
      card.message ? el("div", { class: "message", title: card.message }, card.message) : null,
    ),
    el("td", { class: "state-cell" }, statePill(card.state)),
    el("td", { class: "health-cell" }, health(card)),
    el("td", { class: "stages" }, stages(card)),
    el("td", { class: "rows number" }, card.rows === null || card.rows === undefined ? "–" : count(card.rows)),
    el(
      "td",
      { class: "updated" },
      card.updated
        ? el("time", { title: moment(card.updated), data: { at: card.updated } }, age(Date.now() / 1000 - card.updated))
        : "–",
    ),
  );
  row.addEventListener("click", (event) => {
    if (event.target.closest("a, input, button") || window.getSelection()?.toString()) return;
    row.querySelector("a").click();
  });
  return row;
}

function health({ health: judged, state }) {
  if (!judged) return el("span", { class: "muted" }, state === "unreadable" ? "–" : "…");
  if (!judged.charts) return el("span", { class: "muted" }, "no charts");
  const { full, charts, worst } = judged;
  const title = `${full} of ${counted(charts, "chart")} full`;
  return healthBar(full, charts, worst, { text: `${count(full)}/${count(charts)}`, title });
}

function stages(card) {
  return el(
    "div",
    { class: "stage-list" },
    card.stages.map((stage, at) => {
      const share = stage.steps_total ? Math.min(1, (Number(stage.last_step ?? -1) + 1) / stage.steps_total) : null;
      const title = [
        stage.name,
        stage.rows ? counted(stage.rows, "row") : "no rows yet",
        stage.last_step === null
          ? ""
          : `step ${count(stage.last_step ?? 0)}${stage.steps_total ? ` of ${count(stage.steps_total)}` : ""}`,
      ]
        .filter(Boolean)
        .join(" · ");
      return el(
        "span",
        {
          class: stage.rows ? "stage-pill" : "stage-pill waiting",
          title,
          vars: { "--color": `var(${stageColor(at)})`, "--share": share === null ? "0%" : `${share * 100}%` },
        },
        el("i", { "aria-hidden": "true" }),
        stage.name,
      );
    }),
  );
}
