// What the reader's browser keeps from one visit to the next, where it keeps anything.

/** What was kept under a name; null without it. */
export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null; // storage may be turned off, and a file may have none
  }
}

/** Keeps a value. */
export function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // it holds for this page only
  }
}
