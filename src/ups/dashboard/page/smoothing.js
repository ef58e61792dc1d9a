// W&B's time-weighted exponential moving average, as its documentation gives it, so that a slider means the same here.
// Of a reduced series, the mean and the number of the points of each pixel are known. They are smoothed as so many
// points, so that the line is that of the whole series. The lowest and highest, which are drawn, would distort it.

const VIEWPORT = 1000; // the axis is taken as this many units wide

/**
 * `y` smoothed: same length. `weight` from 0 to below 1; `width`: the axis' length in units of x.
 *
 * `{x, y, count}`: in drawing order; `count`: how many points each y is the mean of, one without it.
 */
export function smoothed({ x, y, count }, weight, width) {
  const kept = Math.min(Math.sqrt(weight), 0.999);
  const out = new Array(y.length);
  let sum = 0;
  let weights = 0;
  for (let at = 0; at < y.length; at++) {
    const gone = at && width > 0 ? (Math.abs(x[at] - x[at - 1]) / width) * VIEWPORT : 1;
    const share = kept ** gone;
    const points = count?.[at] ?? 1;
    sum = sum * share + y[at] * points;
    weights = weights * share + points;
    out[at] = sum / weights;
  }
  return out;
}
