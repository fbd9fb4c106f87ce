import { describeFlags, FlagError, type Flags, type FlagValues, parseFlags } from '@hcsshim/program';
import type { ImageRequest } from './image-source.ts';
import type { Platform } from './registry/manifest.ts';

const globalFlags = {
  verbose: { names: ['v', 'verbose'], meaning: 'say what is done, on standard error' },
  docker: { names: ['d', 'docker'], meaning: 'take the image from the Docker daemon' },
  tarball: {
    names: ['t', 'tarball'],
    value: 'PATH',
    meaning: 'take the image from a docker-archive or OCI-layout tar, or an OCI-layout directory',
  },
  bufferedReader: { names: ['b', 'buffered-reader'], meaning: 'has no effect: reading is always buffered' },
  platform: {
    names: ['platform'],
    value: 'OS/ARCH',
    meaning: 'which of the images that share a name; linux/amd64 if absent',
  },
} as const satisfies Flags;

const roothashFlags = {
  input: { names: ['i', 'input', 'image'], value: 'IMAGE', meaning: 'the name of the image' },
  username: { names: ['u', 'username'], value: 'NAME', meaning: 'who asks the registry' },
  password: { names: ['p', 'password'], value: 'WORD', meaning: 'and the password or token' },
} as const satisfies Flags;

const createFlags = {
  outDir: {
    names: ['o', 'out-dir'],
    value: 'DIRECTORY',
    meaning: 'where the VHDs go; made if it is not there',
  },
  hashDevVhd: { names: ['hdv', 'hash-dev-vhd'], meaning: 'put each hash device into a VHD of its own' },
  dataVhd: { names: ['dir', 'data-vhd'], meaning: 'IMAGE is the path of a tar archive of a directory' },
} as const satisfies Flags;

export const usage = `Usage: dmverity-vhd [flags] create -i IMAGE -o DIRECTORY [flags]
       dmverity-vhd [flags] roothash -i IMAGE [flags]

Makes a VHD with a dm-verity tree of each layer of a container image, or says the root hashes alone.

${describeFlags(globalFlags)}
Of both commands:

${describeFlags(roothashFlags)}
Of create:

${describeFlags(createFlags)}`;

/** An image, before anything is done with it. */
type NamedImage = Pick<ImageRequest, 'name' | 'from' | 'platform' | 'credentials'>;

export type CommandLine =
  | { command: 'help' }
  | { command: 'roothash'; verbose: boolean; image: NamedImage }
  | { command: 'create'; verbose: boolean; image: NamedImage; outDir: string; hashDevVhd: boolean }
  /** As create, of an archive that is no image. */
  | { command: 'create data'; verbose: boolean; archive: string; outDir: string; hashDevVhd: boolean };

/** Reads the command line; the global flags may also come after the command. Throws FlagError. */
export function readCommandLine(words: readonly string[]): CommandLine {
  const { values: globals, rest, help } = parseFlags(globalFlags, words);
  const [command, ...commandWords] = rest;
  if (help || command === undefined || command === 'help' || command === 'h') return { command: 'help' };
  if (command === 'roothash') return readRoothash(globals, commandWords);
  if (command === 'create') return readCreate(globals, commandWords);
  throw new FlagError(`Cannot understand "${command}": there is no command of this name`);
}

function readRoothash(globals: FlagValues<typeof globalFlags>, words: readonly string[]): CommandLine {
  const { values, rest, help } = parseFlags({ ...globalFlags, ...roothashFlags }, words);
  if (help) return { command: 'help' };
  refuseWords(rest);
  const all = mergeFlags(globals, values);
  return { command: 'roothash', verbose: all.verbose, image: readImage(all) };
}

function readCreate(globals: FlagValues<typeof globalFlags>, words: readonly string[]): CommandLine {
  const { values, rest, help } = parseFlags({ ...globalFlags, ...roothashFlags, ...createFlags }, words);
  if (help) return { command: 'help' };
  refuseWords(rest);
  const all = mergeFlags(globals, values);
  const { verbose, hashDevVhd } = all;
  const outDir = required(all.outDir, '--out-dir');
  if (all.dataVhd) {
    return { command: 'create data', verbose, archive: required(all.input, '--input'), outDir, hashDevVhd };
  }
  return { command: 'create', verbose, image: readImage(all), outDir, hashDevVhd };
}

function mergeFlags<T extends FlagValues<typeof globalFlags>>(
  globals: FlagValues<typeof globalFlags>,
  values: T,
): T {
  return {
    ...values,
    verbose: globals.verbose || values.verbose,
    docker: globals.docker || values.docker,
    tarball: values.tarball ?? globals.tarball,
    platform: values.platform ?? globals.platform,
  };
}

function readImage(values: FlagValues<typeof globalFlags> & FlagValues<typeof roothashFlags>): NamedImage {
  const { docker, tarball, username, password, platform = 'linux/amd64' } = values;
  if (docker && tarball) throw new FlagError('Cannot take the image from both --docker and --tarball');
  if ((username === undefined) !== (password === undefined)) {
    throw new FlagError('Cannot ask the registry: give both --username and --password');
  }
  return {
    // A file that holds one image needs no name for it.
    name: tarball ? (values.input ?? tarball) : required(values.input, '--input'),
    from: tarball ? { path: tarball } : docker ? 'docker' : 'registry',
    platform: readPlatform(platform),
    credentials: username !== undefined && password !== undefined ? { username, password } : undefined,
  };
}

function readPlatform(text: string): Platform {
  const [os = '', architecture = '', variant, ...more] = text.split('/');
  if (os && architecture && variant !== '' && more.length === 0) {
    return { os, architecture, ...(variant && { variant }) };
  }
  throw new FlagError(`Cannot take --platform "${text}": give it as linux/amd64 or linux/arm/v7`);
}

function required(value: string | undefined, flag: string): string {
  if (value) return value;
  throw new FlagError(`Cannot start: ${flag} is missing`);
}

function refuseWords([word]: readonly string[]): void {
  if (word !== undefined) throw new FlagError(`Cannot understand "${word}": it is no flag`);
}
