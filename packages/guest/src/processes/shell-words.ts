import { HcsError } from '@hcsshim/schema';

/**
 * Splits a command line into words as a shell does, without expanding anything: white space separates, single
 * quotes keep all, double quotes all but a backslash before `"`, `\`, `$` and a backtick, a backslash keeps the
 * next character. Throws E_INVALIDARG for a quote that is not closed and for a line without words.
 */
export function splitShellWords(line: string): string[] {
  const words: string[] = [];
  const pattern = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)|(\s+)/gsy;
  let word: string | undefined;
  while (pattern.lastIndex < line.length) {
    const match = pattern.exec(line);
    if (!match) throw invalid('a quote is not closed or a backslash stands last');
    const [, single, double, escaped, plain, space] = match;
    if (space !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    word = (word ?? '') + (single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain);
  }
  if (word !== undefined) words.push(word);
  if (words.length === 0) throw invalid('it is empty');
  return words;
}

function invalid(problem: string): HcsError {
  return new HcsError({ action: 'Cannot split the command line', problem, code: 'E_INVALIDARG' });
}
