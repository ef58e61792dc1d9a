// The shell around every page: the bar at the top, the theme, the shortcuts, the banner.

import { el, icon, iconButton, place, showDialog } from "./dom.js";

const STAGE_COLORS = 6;

/** The colour of the stage at a place, as the name of a CSS variable. */
export const stageColor = (at) => `--c${at % STAGE_COLORS}`;

/** A run's state as a pill. */
export function statePill(state) {
  return el("span", { class: `state ${state}`, data: { state } }, el("i", { "aria-hidden": "true" }), state);
}

/** How many of a run's charts are full, as a bar with a text; `worst`: the severity of its worst finding. */
export function healthBar(full, charts, worst, { text, title = null }) {
  return el(
    "span",
    {
      class: `health ${full === charts ? "full" : (worst ?? "")}`,
      vars: { "--share": `${(full / charts) * 100}%` },
      title,
    },
    el("i", { "aria-hidden": "true" }),
    text,
  );
}

/**
 * The page's shell: `{main, crumbs}` to fill, and functions that set the rest. `keys`: [[key, its effect, action]].
 */
export function shell(page, { keys, report = false }) {
  document.body.dataset.page = page;
  const crumbs = el("nav", { class: "crumbs", "aria-label": "Where you are" });
  const live = el("span", { class: "live", role: "status", hidden: true });
  const theme = iconButton("moon", "Switch between light and dark (T)", () => window.upsToggleTheme());
  const dark = () => place(theme, [icon(document.documentElement.dataset.theme === "dark" ? "sun" : "moon")]);
  window.addEventListener("ups-theme", dark);
  dark();
  const all = [...keys, ["t", "Switch between light and dark", () => window.upsToggleTheme()], ["?", "Show this list", () => help(all)]];
  const home = report
    ? el("span", { class: "brand" }, brandMark(), "UPS")
    : el("a", { class: "brand", href: "/", "aria-label": "UPS, all runs" }, brandMark(), "UPS");
  const banner = el("div", { class: "banner", role: "alert", hidden: true });
  const main = el("main", { id: "main", tabindex: -1 });
  const bar = el(
    "header",
    { class: "bar" },
    home,
    crumbs,
    live,
    theme,
    iconButton("help", "Keyboard shortcuts (?)", () => help(all)),
  );
  document.body.append(el("a", { class: "skip", href: "#main" }, "Skip to the content"), bar, banner, main);
  shortcuts(all);
  const setBanner = (text) => {
    if (banner.textContent !== text) banner.textContent = text;
    banner.hidden = !text;
  };
  return {
    main,
    crumbs,
    setLive(state) {
      const label = { open: "Live", lost: "Reconnecting…", paused: "Paused", ended: "" }[state] ?? "";
      live.hidden = !label;
      live.dataset.state = state;
      if (live.textContent !== label) live.textContent = label;
    },
    setBanner,
    setLost(lost) {
      setBanner(lost ? "The server of this page does not answer. Trying again…" : "");
    },
    setTitle(text) {
      document.title = text ? `${text} · UPS` : "UPS";
    },
  };
}

function brandMark() {
  const mark = icon("chart");
  mark.classList.add("brand-mark");
  return mark;
}

function shortcuts(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest?.("input:not([type=checkbox]):not([type=range]), textarea, select");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      return;
    }
    const dialog = document.querySelector("dialog[open]");
    for (const [key, , action] of keys) {
      if (key !== event.key || (dialog && key !== "t")) continue;
      event.preventDefault();
      action();
      return;
    }
  });
}

function help(keys) {
  if (document.querySelector("dialog[open]")) return;
  const rows = [...keys, ["Enter", "Chart in full screen"], ["← →", "Step through a chart's points"], ["Esc", "Close"]];
  const dialog = el(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    el(
      "header",
      {},
      el("h2", { id: "help-title" }, "Keyboard shortcuts"),
      iconButton("close", "Close", () => dialog.close()),
    ),
    el(
      "dl",
      {},
      rows.map(([key, what]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what))),
    ),
  );
  showDialog(dialog);
}

/** The content of a page that has nothing else to show. */
export function emptyState({ title, lines, code }) {
  return el(
    "div",
    { class: "empty" },
    icon("chart"),
    el("h1", {}, title),
    lines.map((line) => el("p", {}, line)),
    code ? el("pre", {}, el("code", {}, code)) : null,
  );
}
