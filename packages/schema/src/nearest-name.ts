/** Names that differ in more than this are no slips of the pen. */
const mostEdits = 2;
/** Longer names are not compared: the work grows with the square, and no schema has such. */
const longestName = 64;

/** The name that was probably meant: another case, or a letter or two missing, added, swapped or wrong. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  if (name.length > longestName) return undefined;
  const lower = name.toLowerCase();
  let nearest: string | undefined;
  let fewest = Math.min(mostEdits, Math.floor(name.length / 2)) + 1;
  for (const candidate of names) {
    const edits = editDistance(lower, candidate.toLowerCase(), fewest);
    if (edits < fewest) [nearest, fewest] = [candidate, edits];
  }
  return nearest;
}

/** Edits from `a` to `b` with swapped neighbours as one edit, or `limit` when there are at least so many. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min(
        (previous[j] as number) + 1,
        (current[j - 1] as number) + 1,
        (previous[j - 1] as number) + (same ? 0 : 1),
      );
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) edits = Math.min(edits, (beforePrevious[j - 2] as number) + 1);
      current.push(edits);
    }
    [beforePrevious, previous] = [previous, current];
  }
  return Math.min(previous[b.length] as number, limit);
}
