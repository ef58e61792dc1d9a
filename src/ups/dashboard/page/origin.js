// Where a line's x counts from. An axis of whole numbers that a number of JavaScript would round (time in nanoseconds)
// comes counted from its first value, as text in `origin`; all others count from 0, and have none.

/** How far one origin lies behind another. */
export const distance = (origin, from) => (origin === from ? 0 : Number(BigInt(origin ?? 0) - BigInt(from ?? 0)));

/** The whole number that stands at `x`, as text. */
export const numberAt = (x, origin) => String(BigInt(Math.round(x)) + BigInt(origin ?? 0));

/** The points of a line, drawn `by` further on. */
export function moved(line, by) {
  if (!by) return line;
  const { course } = line;
  return {
    ...line,
    x: line.x.map((x) => x + by),
    marks: line.marks.map((mark) => ({ ...mark, x: mark.x + by })),
    course: course && { ...course, x: course.x.map((x) => x + by) },
  };
}
