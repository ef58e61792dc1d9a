// The origin of a line's x. An axis of whole numbers that JavaScript would round (time in nanoseconds) counts from its
// first value, which is text in `origin`; all other axes count from 0, and have no origin.

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
