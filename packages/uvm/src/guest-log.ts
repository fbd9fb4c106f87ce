import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** A line beyond this is cut: the guest is not trusted with the host's memory. */
const longestLine = 64 * 1024;

/** Calls `write` with each line of a guest's log, cut to 64 KiB, until the stream ends. */
export function readLines(stream: Readable, write: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let line = '';
  stream.on('data', (chunk: Buffer) => {
    const parts = decoder.write(chunk).split('\n');
    for (const [index, part] of parts.entries()) {
      if (line.length < longestLine) line += part.slice(0, longestLine - line.length);
      if (index === parts.length - 1) continue;
      if (line !== '') write(line);
      line = '';
    }
  });
  stream.on('end', () => {
    if (line !== '') write(line);
  });
}
