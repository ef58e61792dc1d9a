// Values that the browser keeps from one visit to the next, where it keeps any.

/** Reads a value; null where none was stored. */
export function load(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null; // storage may be turned off, and a file may have none
  }
}

/** Stores a value. */
export function store(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // it holds for this page only
  }
}
