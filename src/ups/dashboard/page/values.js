// Summary, configuration, tables and images of a run.

import { el, icon, iconButton, showDialog } from "./dom.js";
import { count, counted, exact, moment, number } from "./format.js";

const ROWS = 200; // of a table at once
const TINY = 160; // pixels; a smaller image is a grid of cells, and is not blurred

/** A nested dictionary as a list of names and values, with a box to filter it. */
export function valueList(title, values, none) {
  const flat = flatten(values);
  const rows = flat.map(([name, value]) =>
    el(
      "div",
      { class: "value-row" },
      el("dt", { title: name }, name),
      el("dd", { title: typeof value === "number" ? exact(value) : typeof value === "string" ? value : null }, shown(value)),
    ),
  );
  const list = el("dl", { class: "value-list" }, rows);
  const filter = el("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": `Filter ${title}`,
    autocomplete: "off",
    spellcheck: "false",
  });
  filter.addEventListener("input", () => {
    const word = filter.value.toLowerCase();
    flat.forEach(([name], at) => (rows[at].hidden = !name.toLowerCase().includes(word)));
  });
  return el(
    "section",
    { class: "panel values" },
    el(
      "header",
      {},
      el("h2", {}, title),
      el("span", { class: "section-count" }, flat.length ? count(flat.length) : ""),
      flat.length > 12 ? filter : null,
    ),
    flat.length ? list : el("p", { class: "none" }, none),
  );
}

function flatten(values, prefix = "") {
  return Object.entries(values ?? {}).flatMap(([name, value]) => {
    const inner = value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length;
    return inner ? flatten(value, `${prefix}${name}.`) : [[`${prefix}${name}`, value]];
  });
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}

/** Evaluation tables, each opened when it is asked for, and images. */
export function media(run, source) {
  const tables = run.tables.map((table, at) => tablePanel(table, source, at === 0 || run.tables.length < 4));
  const images = el(
    "div",
    { class: "images" },
    run.images.map((image) => picture(image, source)),
  );
  return el(
    "div",
    {},
    tables,
    run.images.length
      ? el(
          "section",
          { class: "panel" },
          el("header", {}, el("h2", {}, "Images"), el("span", { class: "section-count" }, count(run.images.length))),
          images,
        )
      : null,
  );
}

function tablePanel(table, source, open) {
  const body = el("div", { class: "table-body" });
  const panel = el(
    "details",
    { class: "panel table-panel" },
    el(
      "summary",
      {},
      icon("turn"),
      el("h2", {}, table.name),
      el("span", { class: "section-count" }, `${table.partial ? "first " : ""}${counted(table.rows, "row")}`),
      table.time ? el("time", {}, moment(table.time)) : null,
    ),
    body,
  );
  let asked = false;
  panel.addEventListener("toggle", async () => {
    if (!panel.open || asked) return;
    asked = true;
    body.textContent = "Reading…";
    try {
      const { columns, rows, partial } = await source.table(table.id);
      const note = `This table is too long to show in full: these are its first ${counted(rows.length, "row")}.`;
      body.replaceChildren(...(partial ? [el("p", { class: "muted" }, note)] : []), grid(columns, rows));
    } catch (error) {
      asked = false;
      body.textContent = error.message;
    }
  });
  panel.open = open;
  return panel;
}

function grid(columns, rows) {
  const numeric = columns.map(
    (_, at) => rows.length > 0 && rows.every((row) => row[at] === null || typeof row[at] === "number"),
  );
  const kind = (at) => (numeric[at] ? "number" : null);
  const body = el("tbody");
  const table = el(
    "table",
    {},
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        columns.map((name, at) => el("th", { scope: "col", class: kind(at) }, String(name))),
      ),
    ),
    body,
  );
  const more = el("button", { type: "button", class: "button" });
  let at = 0;
  const add = () => {
    const part = rows.slice(at, at + ROWS);
    body.append(
      ...part.map((row) =>
        el(
          "tr",
          {},
          row.map((cell, column) => el("td", { class: kind(column) }, shown(cell))),
        ),
      ),
    );
    at += part.length;
    more.hidden = at >= rows.length;
    more.textContent = `Show ${count(Math.min(ROWS, rows.length - at))} more of ${count(rows.length - at)}`;
  };
  more.addEventListener("click", add);
  add();
  return el(
    "div",
    {},
    el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Table" }, table),
    more,
  );
}

function picture(image, source) {
  const name = image.caption || image.name;
  const made = el("img", { src: source.image(image.id), alt: name, loading: "lazy", decoding: "async" });
  made.addEventListener("load", () =>
    made.classList.toggle("tiny", made.naturalWidth <= TINY && made.naturalHeight <= TINY),
  );
  const open = el(
    "button",
    { type: "button", class: "image", "aria-label": `Enlarge ${name}`, on: { click: () => enlarge(image, made) } },
    made,
  );
  return el(
    "figure",
    {},
    open,
    el(
      "figcaption",
      {},
      el("b", { title: image.name }, image.name),
      image.caption ? el("span", { title: image.caption }, image.caption) : null,
    ),
  );
}

function enlarge(image, small) {
  const dialog = el(
    "dialog",
    { class: "full-screen image-dialog", "aria-label": image.name },
    el(
      "header",
      {},
      el("h2", {}, image.caption || image.name),
      iconButton("close", "Close", () => dialog.close()),
    ),
    el("img", { src: small.src, class: small.className, alt: image.caption || image.name }),
  );
  showDialog(dialog);
}
