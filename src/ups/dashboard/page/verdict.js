// The verdict on a chart: a chip with its name, which opens the explanation.

import { el, place } from "./dom.js";
import { explanation, verdictName } from "./findings.js";

export class Verdict {
  chip = el("button", {
    type: "button",
    class: "chip",
    hidden: true,
    "aria-expanded": "false",
    on: { click: () => this.#open(this.why.hidden) },
  });
  why = el("div", { class: "why", hidden: true });
  #alone = false;
  #shown = null;

  /**
   * Shows the verdict of a chart's description. `alone`: nothing is drawn, so the explanation takes the plot's place.
   *
   * Returns the severity; `none` for a full chart.
   */
  show({ verdict, findings, stage }, alone) {
    const bad = verdict !== "full";
    const severity = bad ? (findings[0]?.severity ?? "error") : "none";
    this.chip.hidden = !bad;
    this.chip.className = `chip ${severity}`;
    if (this.chip.dataset.verdict !== verdict) {
      this.chip.dataset.verdict = verdict;
      place(this.chip, [el("span", {}, verdictName(verdict))]);
      this.chip.setAttribute("aria-label", `Why is this chart ${verdictName(verdict)}?`);
    }
    const wanted = JSON.stringify(findings);
    if (wanted !== this.#shown) {
      this.#shown = wanted;
      const nothing = el("p", {}, `No point can be drawn${stage ? ` in ${stage}` : ""}.`);
      place(this.why, findings.length ? findings.map((each) => explanation(each)) : [nothing]);
    }
    if (alone !== this.#alone) {
      this.#alone = this.chip.disabled = alone;
      this.#open(alone);
    }
    if (!bad) this.#open(false);
    return severity;
  }

  #open(open) {
    this.why.hidden = !open;
    this.chip.setAttribute("aria-expanded", String(open));
  }
}
