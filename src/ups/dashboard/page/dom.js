// Elements are made here, and only here: text goes in as text, so that no name or value of a run can be markup.

const PROPERTIES = new Set(["checked", "disabled", "value", "hidden", "indeterminate"]);
const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  chart: "M4 19h16M5 15l4-6 4 4 6-8",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10v11H9zM5 15V4h10",
  csv: "M5 5h14v14H5zM5 10h14M5 14.5h14M10 5v14",
  done: "M5 12.5l4.5 4.5L19 7.5",
  expand: "M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5",
  help: "M9.2 9.2a2.9 2.9 0 1 1 4.3 2.6c-1 .6-1.5 1.1-1.5 2.2M12 17.4v.1",
  moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z",
  png: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
  search: "M10.5 4.5a6 6 0 1 1 0 12 6 6 0 0 1 0-12zM15 15l5 5",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  turn: "M9 6l6 6-6 6",
  unzoom: "M4 11a8 8 0 1 1 2.4 6M4 5v6h6",
  warning: "M12 4.5l8.5 15h-17zM12 10v4.5M12 17v.1",
};

/** An element. `attributes`: `on` for listeners, `data` for data-*, `vars` for CSS variables; children: nodes or text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "vars") for (const [key, set] of Object.entries(value)) made.style.setProperty(key, set);
    else if (PROPERTIES.has(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A line drawing, hidden from screen readers: the element around it has the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with a drawing and a name. */
export function iconButton(name, label, onClick, attributes = {}) {
  return el(
    "button",
    { type: "button", class: "icon-button", title: label, "aria-label": label, on: { click: onClick }, ...attributes },
    icon(name),
  );
}

/** A button that copies a text, and then says so. */
export function copyButton(text, label = "Copy") {
  const name = el("span", {}, label);
  const button = el("button", { type: "button", class: "copy", title: "Copy to the clipboard" }, icon("copy"), name);
  let back;
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    const copied = await copyText(text);
    name.textContent = copied ? "Copied" : "Select and copy";
    announce(copied ? "Copied" : "This page may not use the clipboard: select the text and copy it");
    clearTimeout(back);
    back = setTimeout(() => (name.textContent = label), 1600);
  });
  return button;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { value: text, class: "visually-hidden" }); // where the page is not a secure context
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

/** Shows a dialog over the page. A click beside it closes it; then it is gone. */
export function showDialog(dialog, closed = () => {}) {
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

/** Has screen readers say what is seen elsewhere on the page. */
export function announce(text) {
  let region = document.getElementById("announcer");
  if (!region) {
    region = el("div", { id: "announcer", class: "visually-hidden", role: "status", "aria-live": "polite" });
    document.body.append(region);
  }
  region.textContent = text;
}

/** Saves bytes or an address under a name, without letting a run's name choose a folder. */
export function download(href, name) {
  const link = el("a", { href, download: name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[.-]+/, "") || "chart" });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Replaces the children of an element, unless they are the same already. */
export function place(parent, children) {
  const wanted = children.filter(Boolean);
  if (wanted.length === parent.childNodes.length && wanted.every((child, at) => child === parent.childNodes[at]))
    return;
  parent.replaceChildren(...wanted);
}
