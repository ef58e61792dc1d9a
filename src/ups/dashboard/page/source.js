// Runs from the server of `ups show`. A report has its run in its own file (file_source.js).

const PER_REQUEST = 12; // metrics

/** Asks the server. Throws an Error with the server's own line if it refuses. */
export async function ask(address) {
  let response;
  try {
    response = await fetch(address, { headers: { accept: "application/json" } });
  } catch {
    throw Object.assign(new Error("The server of this page does not answer: check that `ups show` is still running"), {
      status: 0,
    });
  }
  if (!response.ok) {
    let line = `The server answered ${response.status}`;
    try {
      line = (await response.json()).error ?? line;
    } catch {
      // its body was not JSON: the status is enough
    }
    throw Object.assign(new Error(line), { status: response.status });
  }
  return response.json();
}

/**
 * An event stream that rests while nobody looks, so that a browser's few connections go to the page in front.
 *
 * `onState` is called with `open`, `lost` or `paused`, and with true where the stream is open again after it was not.
 */
export function stream(address, { handlers, onState }) {
  let events = null;
  let before = "open";
  const report = (state) => {
    const back = before !== "open" && state === "open";
    before = state;
    onState(state, back);
  };
  const open = () => {
    if (events) return;
    events = new EventSource(address());
    events.onopen = () => report("open");
    events.onerror = () => report("lost");
    for (const [name, handler] of Object.entries(handlers)) {
      events.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    }
  };
  const close = () => {
    events?.close();
    events = null;
  };
  const turn = () => {
    if (document.hidden) {
      close();
      report("paused");
    } else open();
  };
  document.addEventListener("visibilitychange", turn);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", turn);
  turn();
  return {
    reopen() {
      close();
      turn();
    },
    close() {
      document.removeEventListener("visibilitychange", turn);
      window.removeEventListener("pageshow", turn);
      close();
    },
  };
}

/** One run of the server. */
export class RunSource {
  live = true;

  constructor(key) {
    this.key = key;
    this.address = `/api/runs/${encodeURIComponent(key)}`;
    this.waiting = new Map();
  }

  run() {
    return ask(this.address);
  }

  /**
   * `{metric, axis, total, exact, x, y, breaks, marks, course, end}`; what is asked for at once goes in one request.
   *
   * Where a number of JavaScript would round whole numbers, also `x_digits` and `y_digits`, those as text, and `origin`,
   * from which x counts. The line is broken before each of `breaks`; `course`: {x, y, count, breaks}, the whole line in short, or null where
   * the points are all of it.
   */
  series({ view, metric, x, pixels, window = null }) {
    const query = new URLSearchParams({ view, x, pixels: String(pixels) });
    if (window) {
      query.set("from", String(window[0]));
      query.set("to", String(window[1]));
    }
    const group = query.toString();
    if (!this.waiting.has(group)) {
      this.waiting.set(group, []);
      setTimeout(() => this.#send(group));
    }
    return new Promise((resolve, reject) => this.waiting.get(group).push({ metric, resolve, reject }));
  }

  #send(group) {
    const asked = this.waiting.get(group);
    this.waiting.delete(group);
    for (let at = 0; at < asked.length; at += PER_REQUEST) this.#ask(group, asked.slice(at, at + PER_REQUEST));
  }

  async #ask(group, asked) {
    const query = new URLSearchParams(group);
    for (const { metric } of asked) query.append("metric", metric);
    try {
      const found = new Map(
        (await ask(`${this.address}/series?${query}`)).series.map((series) => [series.metric, series]),
      );
      for (const { metric, resolve, reject } of asked) {
        if (found.has(metric)) resolve(found.get(metric));
        else reject(new Error(`The server has no points of ${metric}`));
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  /** Follows the run. `view` is asked each time that the stream opens. */
  follow(view, handlers, onState) {
    return stream(() => `${this.address}/events?view=${view()}`, { handlers, onState });
  }

  table(id) {
    return ask(`${this.address}/tables/${encodeURIComponent(id)}`);
  }

  image(id) {
    return `${this.address}/images/${encodeURIComponent(id)}`;
  }

  csv(metric, view) {
    return Promise.resolve(`${this.address}/chart.csv?${new URLSearchParams({ metric, view })}`);
  }
}
