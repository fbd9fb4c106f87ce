import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileTree } from './file-tree.ts';
import { readHostTool, runHostTool } from './host-tool.ts';
import { readTar } from './tar-reader.ts';

/** One package as the archive has it now. */
export interface DebianPackage {
  name: string;
  version: string;
  sha256: string;
  /** Of the .deb, in bytes. */
  size: number;
  /** Names of the packages it depends on; of alternatives the first. */
  depends: string[];
}

export interface PackageSelection {
  names: readonly string[];
  /** Packages whose own dependencies are of no use here: a kernel's are for a host that boots it. */
  leaves: RegExp;
}

const aptLists = '/var/lib/apt/lists';

/**
 * The packages named and all that they depend on, by name, from apt's lists. What was found is kept in
 * `cacheDir` and holds until the lists change (apt takes a second to answer), or for ever on a host that has
 * thrown its lists away. Throws when a package named is not in the lists.
 */
export async function resolvePackages(
  { names, leaves }: PackageSelection,
  cacheDir: string,
  signal?: AbortSignal,
): Promise<DebianPackage[]> {
  const record = join(cacheDir, 'resolved.json');
  const lists = await stampOfLists();
  const known = await readFile(record, 'utf8').then(
    (text) => JSON.parse(text) as { names: string[]; lists: string; packages: DebianPackage[] },
    () => undefined,
  );
  const sameNames = known?.names.join() === names.join();
  if (known && sameNames && (known.lists === lists || lists === '')) return known.packages;

  const found = new Map<string, DebianPackage>();
  for (let asked = [...names]; asked.length > 0; ) {
    for (const one of await showPackages(asked, signal)) found.set(one.name, one);
    const next = new Set(
      [...found.values()].flatMap(({ name, depends }) => (leaves.test(name) ? [] : depends)),
    );
    const before = asked;
    asked = [...next].filter((name) => !found.has(name) && !before.includes(name));
  }
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0) {
    throw new Error(
      `Cannot find the Debian packages "${missing.join('", "')}": apt's lists do not have them, run "apt-get update" as root, on Debian`,
    );
  }
  const packages = [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  await mkdir(cacheDir, { recursive: true });
  await writeFile(record, JSON.stringify({ names, lists, packages }));
  return packages;
}

/**
 * Downloads what `cacheDir` does not have yet, checks the SHA-256 of what comes, and returns the path of
 * each package's .deb by the package's name. `onProgress` gets the share of bytes there are.
 */
export async function downloadPackages(
  packages: readonly DebianPackage[],
  cacheDir: string,
  onProgress: (fraction: number) => void,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const path = (one: DebianPackage): string => join(cacheDir, `${one.name}-${one.sha256.slice(0, 16)}.deb`);
  const present = await Promise.all(
    packages.map((one) =>
      stat(path(one)).then(
        () => true,
        () => false,
      ),
    ),
  );
  const wanted = packages.filter((_, index) => !present[index]);
  if (wanted.length > 0) {
    await mkdir(cacheDir, { recursive: true });
    const directory = await mkdtemp(join(cacheDir, 'download-'));
    const total = wanted.reduce((sum, { size }) => sum + size, 0);
    const poll = setInterval(() => {
      bytesIn(directory).then(
        (bytes) => onProgress(bytes / total),
        () => {},
      );
    }, 200);
    try {
      // Its own user may not write here, and apt says so on every run.
      const options = ['-qq', '-o', 'APT::Sandbox::User=root'];
      await runHostTool('apt-get', [...options, 'download', ...wanted.map((p) => `${p.name}=${p.version}`)], {
        action: 'Cannot download Debian packages',
        cwd: directory,
        signal,
      });
      for (const one of wanted) {
        const file = (await readdir(directory)).find((name) => name.startsWith(`${one.name}_`));
        if (!file || (await sha256OfFile(join(directory, file))) !== one.sha256) {
          throw new Error(
            `Cannot download the Debian package "${one.name}": what came is not what apt's lists promise, run "apt-get update" as root and try again`,
          );
        }
        await rename(join(directory, file), path(one));
      }
    } finally {
      clearInterval(poll);
      await rm(directory, { recursive: true, force: true });
    }
  }
  onProgress(1);
  return new Map(packages.map((one) => [one.name, path(one)]));
}

/** The files of a .deb for which `wanted` is true, all when it is left out. */
export function unpackPackage(
  file: string,
  wanted: (path: string) => boolean,
  signal?: AbortSignal,
): Promise<FileTree> {
  const options = { action: `Cannot unpack "${file}"`, signal };
  return readHostTool('dpkg-deb', ['--fsys-tarfile', file], options, (output) =>
    readTar(output, { name: file, wanted }),
  );
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
    hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

/** Changes when `apt-get update` brings something new; empty when there are no lists. */
async function stampOfLists(): Promise<string> {
  const lists = (await readdir(aptLists).catch(() => [])).filter((name) => name.includes('_Packages'));
  if (lists.length === 0) return '';
  const stamps = await Promise.all(
    lists.sort().map(async (name) => {
      const { size, mtimeMs } = await stat(join(aptLists, name));
      return `${name} ${size} ${mtimeMs}`;
    }),
  );
  return createHash('sha256').update(stamps.join('\n')).digest('hex');
}

async function showPackages(names: string[], signal: AbortSignal | undefined): Promise<DebianPackage[]> {
  const action = `Cannot look up the Debian packages "${names.join('", "')}"`;
  const text = await runHostTool('apt-cache', ['show', '--no-all-versions', ...names], {
    action,
    signal,
  }).catch((error: Error) => {
    // apt-cache fails when it knows none of the names, which is what a missing list looks like.
    if (error.message.includes('No packages found')) return new Uint8Array();
    throw error;
  });
  return Buffer.from(text)
    .toString('utf8')
    .split(/\n\n+/)
    .filter((stanza) => stanza.includes('Package: '))
    .map(parseStanza);
}

function parseStanza(stanza: string): DebianPackage {
  const fields = new Map(
    [...stanza.matchAll(/^([A-Za-z0-9-]+): (.*)$/gm)].map((match) => [
      match[1] as string,
      match[2] as string,
    ]),
  );
  const depends = `${fields.get('Pre-Depends') ?? ''},${fields.get('Depends') ?? ''}`
    .split(',')
    .map((clause) => clause.trim().split(/[\s|(:]/)[0] as string)
    .filter((name) => name !== '');
  return {
    name: fields.get('Package') as string,
    version: fields.get('Version') as string,
    sha256: fields.get('SHA256') as string,
    size: Number(fields.get('Size')),
    depends: [...new Set(depends)],
  };
}

async function bytesIn(directory: string): Promise<number> {
  let total = 0;
  for (const name of await readdir(directory)) total += (await stat(join(directory, name))).size;
  return total;
}
