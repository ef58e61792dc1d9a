// The row of tools above the charts: search, smoothing, scales, and the switch of views.

import { el, icon } from "./dom.js";
import { load, store } from "./storage.js";

const STORED_AS = "ups-settings";

/** The reader's settings from the last visit. */
export function readSettings() {
  const { x, smoothing, logY } = load(STORED_AS) ?? {};
  return {
    x: x === "time" ? x : "step",
    smoothing: smoothing > 0 && smoothing < 1 ? smoothing : 0,
    logY: logY === true,
  };
}

/** `{element, keys, setDiffers}`. `view`: null without a switch, else `{get, set}`. */
export function tools(board, { view = null, onAxis = () => {} } = {}) {
  const { settings } = board;
  const search = el("input", {
    type: "search",
    id: "search",
    placeholder: "Find a chart",
    "aria-label": "Find a chart",
    autocomplete: "off",
    spellcheck: "false",
  });
  search.addEventListener("input", () => board.search(search.value));
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    search.value = "";
    board.search("");
  });

  const slider = el("input", {
    type: "range",
    id: "smoothing",
    min: 0,
    max: 0.99,
    step: 0.01,
    value: String(settings.smoothing),
    "aria-label": "Smoothing",
  });
  const amount = el("output", { for: "smoothing" });
  const smooth = () => {
    settings.smoothing = Number(slider.value);
    amount.textContent = settings.smoothing ? settings.smoothing.toFixed(2) : "off";
    slider.style.setProperty("--share", `${(settings.smoothing / 0.99) * 100}%`);
  };
  smooth();
  slider.addEventListener("input", () => {
    smooth();
    store(STORED_AS, settings);
    board.redraw();
  });

  const log = toggle("Log y", settings.logY, "Logarithmic y axis (L)", (on) => {
    settings.logY = on;
    for (const chart of board.charts.values()) if (chart.window) chart.window.y = null;
    store(STORED_AS, settings);
    board.redraw();
  });
  const axis = choice(
    "x axis",
    [
      ["step", "Step"],
      ["time", "Time"],
    ],
    settings.x,
    (x) => {
      settings.x = x;
      store(STORED_AS, settings);
      board.reset();
      onAxis();
    },
  );
  const views = view
    ? choice(
        "Which charts",
        [
          ["wandb", "As W&B draws it"],
          ["meant", "As it was meant"],
        ],
        view.get(),
        view.set,
      )
    : null;
  if (views) views.element.classList.add("views");
  const element = el(
    "div",
    { class: "tools", role: "toolbar", "aria-label": "How the charts are drawn" },
    el("label", { class: "search" }, icon("search"), search),
    el("label", { class: "smoothing" }, el("span", {}, "Smoothing"), slider, amount),
    axis.element,
    log.element,
    el("span", { class: "spring" }),
    views?.element,
  );
  return {
    element,
    search,
    keys: [
      ["/", "Find a chart", () => search.focus()],
      ["j", "Next chart", () => board.step(1)],
      ["k", "Previous chart", () => board.step(-1)],
      ["l", "Log scale", () => log.press()],
      ["x", "Draw against step or time", () => axis.next()],
      ...(views ? [["v", "As W&B draws it, or as it was meant", () => views.next()]] : []),
    ],
    setDiffers(differs) {
      if (!views) return;
      views.element.title = differs ? "" : "Nothing needs repair: both views are the same";
    },
  };
}

function toggle(label, on, title, set) {
  const element = el("button", { type: "button", class: "toggle", "aria-pressed": String(on), title }, label);
  const press = () => {
    const now = element.getAttribute("aria-pressed") !== "true";
    element.setAttribute("aria-pressed", String(now));
    set(now);
  };
  element.addEventListener("click", press);
  return { element, press };
}

function choice(label, options, chosen, set) {
  const buttons = options.map(([value, name]) =>
    el(
      "button",
      {
        type: "button",
        role: "radio",
        "aria-checked": String(value === chosen),
        tabindex: value === chosen ? 0 : -1,
        data: { value },
        on: { click: () => choose(value) },
      },
      name,
    ),
  );
  const choose = (value, focus = false) => {
    for (const button of buttons) {
      const is = button.dataset.value === value;
      button.setAttribute("aria-checked", String(is));
      button.tabIndex = is ? 0 : -1;
      if (is && focus) button.focus();
    }
    if (value !== chosen) set((chosen = value));
  };
  const next = (by = 1, focus = false) => {
    const at = options.findIndex(([value]) => value === chosen);
    choose(options[(at + by + options.length) % options.length][0], focus);
  };
  const element = el("div", { class: "choice", role: "radiogroup", "aria-label": label }, buttons);
  element.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    next(by, true);
  });
  return { element, next };
}
