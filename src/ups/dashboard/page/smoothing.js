// W&B's time-weighted exponential moving average, as its documentation gives it, so that a slider means the same here.
// It weighs by distance on the x axis, not by points: a reduced series is smoothed like the whole one.

const VIEWPORT = 1000; // the axis is taken as this many units wide

/** `y` smoothed: same length. `weight` from 0 to below 1; `x` in drawing order, `width` the axis' length in units of x. */
export function smoothed(x, y, weight, width) {
  const kept = Math.min(Math.sqrt(weight), 0.999);
  const out = new Array(y.length);
  let sum = 0;
  let weights = 0;
  for (let at = 0; at < y.length; at++) {
    const gone = at && width > 0 ? (Math.abs(x[at] - x[at - 1]) / width) * VIEWPORT : 1;
    const share = kept ** gone;
    sum = sum * share + y[at];
    weights = weights * share + 1;
    out[at] = sum / weights;
  }
  return out;
}
