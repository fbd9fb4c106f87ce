/**
 * Text of unknown origin for a terminal: control characters, with which it could steer the terminal, are shown as
 * escapes.
 */
export function printable(text: string): string {
  return text.replace(
    /[^\P{Cc}\t\n]/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
