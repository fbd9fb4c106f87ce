import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import {
  backupStreamIds,
  convertToBaseLayer,
  encodeBackupStreamHeader,
  type FileBasicInfo,
  LayerReader,
  LayerWriter,
} from '@hcsshim/storage/windows';
import { bind, holdPrivileges, kernel32 } from '@hcsshim/windows';
import { FolderLayerDriver } from './folder-layer-driver.ts';
import { openHandles } from './open-handles.ts';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const folder = mkdtempSync(join(tmpdir(), 'layers-'));
after(() => rmSync(folder, { recursive: true }));

const dll = bind({ ...kernel32, file: 'wine-lacks.dll' });
const driver = new FolderLayerDriver(newFolder('imported'));
const options = { dll, driver };

const directoryAttribute = 0x10;
const archiveAttribute = 0x20;

function newFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** A time of its own for each number. Wine keeps the time of the last write alone. */
function info(attributes: number, number: number): FileBasicInfo {
  const lastWriteTime = 131_000_000_000_000_000n + BigInt(number) * 10_000_000n;
  return { attributes, lastWriteTime, creationTime: 0n, lastAccessTime: lastWriteTime, changeTime: 0n };
}

function stream(id: keyof typeof backupStreamIds, data: Buffer, name = ''): Buffer {
  const header = { id: backupStreamIds[id], attributes: 0, size: BigInt(data.length), name };
  return Buffer.concat([encodeBackupStreamHeader(header), data]);
}

const security = stream('security', Buffer.from('rights'));
const text = (content: string) => stream('data', Buffer.from(content));

interface Written {
  name: string;
  attributes?: number;
  bytes?: Buffer;
}

/** Adds entries in their order, each with a time of its own, their bytes in pieces. */
async function addAll(writer: LayerWriter, entries: readonly Written[], pieceBytes = 1000): Promise<void> {
  for (const [index, { name, attributes = archiveAttribute, bytes = Buffer.alloc(0) }] of entries.entries()) {
    await writer.add(name, info(attributes, index));
    for (let at = 0; at < bytes.length; at += pieceBytes)
      await writer.write(bytes.subarray(at, at + pieceBytes));
  }
}

interface Read {
  name: string;
  size?: bigint;
  attributes?: number;
  lastWriteTime?: bigint;
  bytes?: string;
}

async function readAll(path: string, parents: readonly string[] = []): Promise<Read[]> {
  await using reader = await LayerReader.open(path, parents, options);
  const entries: Read[] = [];
  for await (const entry of reader) {
    if (entry.isDeletion) {
      entries.push({ name: entry.name });
      continue;
    }
    const pieces = await Array.fromAsync(entry.read());
    entries.push({
      name: entry.name,
      size: entry.size,
      attributes: entry.info.attributes & directoryAttribute,
      lastWriteTime: entry.info.lastWriteTime,
      bytes: Buffer.concat(pieces).toString('base64'),
    });
  }
  return entries;
}

/** What a reader must give for what was written. */
function asRead(entries: readonly Written[], size: (entry: Written) => number): Read[] {
  return entries
    .map(
      (entry, index): Read => ({
        name: entry.name,
        size: BigInt(size(entry)),
        attributes: (entry.attributes ?? 0) & directoryAttribute,
        lastWriteTime: info(0, index).lastWriteTime,
        bytes: (entry.bytes ?? Buffer.alloc(0)).toString('base64'),
      }),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const code = (name: Parameters<typeof isHcsError>[1]) => (error: unknown) => isHcsError(error, name);
const temporaryFolders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('hcsshim-layer-'));
const temporaryFoldersBefore = temporaryFolders();

const large = randomBytes(300_000);
const directory = { attributes: directoryAttribute, bytes: security };
const baseEntries: Written[] = [
  { name: 'Files', ...directory },
  { name: 'Files\\Windows', ...directory },
  {
    name: 'Files\\Windows\\a é.txt',
    bytes: Buffer.concat([security, text('hello'), stream('alternateData', Buffer.from('zone'), ':z:$DATA')]),
  },
  { name: 'Files\\Windows\\empty' },
  { name: 'Files\\Windows\\large', bytes: stream('data', large) },
  { name: 'UtilityVM', ...directory },
  { name: 'UtilityVM\\Files', ...directory },
  { name: 'UtilityVM\\Files\\EFI', ...directory },
  { name: 'UtilityVM\\Files\\EFI\\Microsoft', ...directory },
  { name: 'UtilityVM\\Files\\EFI\\Microsoft\\Boot', ...directory },
  { name: 'UtilityVM\\Files\\EFI\\Microsoft\\Boot\\BCD', bytes: text('boot') },
  { name: 'UtilityVM\\Files\\kernel', bytes: text('kernel') },
  { name: 'UtilityVM\\Files\\old', bytes: text('old') },
];
const dataSizes: Record<string, number> = {
  'a é.txt': 5,
  large: large.length,
  BCD: 4,
  kernel: 6,
  old: 3,
};
const sizeOf = ({ name }: Written) => dataSizes[name.slice(name.lastIndexOf('\\') + 1)] ?? 0;

const base = join(folder, 'base');

describe('a base layer', () => {
  test('is read as it was written, entry by entry', async () => {
    newFolder('base');
    await using writer = await LayerWriter.open(base, [], options);
    await addAll(writer, baseEntries);
    await writer.commit();
    assert.deepEqual(driver.calls.splice(0), [
      `processBaseLayer ${base}`,
      `processUtilityVmImage ${base}\\UtilityVM`,
    ]);
    assert.equal(readFileSync(join(base, 'Files', 'Windows', 'a é.txt'), 'utf8'), 'hello');
    assert.deepEqual(await readAll(base), asRead(baseEntries, sizeOf));
  });

  test('has links, which tell that they are one file', async () => {
    const layer = newFolder('links');
    await using writer = await LayerWriter.open(layer, [], options);
    await addAll(writer, [
      { name: 'Files', ...directory },
      { name: 'Files\\a', bytes: text('hello') },
    ]);
    await writer.addLink('Files/b', 'Files\\a');
    await writer.commit();
    await using reader = await LayerReader.open(layer, [], options);
    const links: unknown[] = [];
    for await (const entry of reader)
      if (!entry.isDeletion && entry.size > 0n) links.push({ name: entry.name, ...(await entry.linkInfo()) });
    const [first, second] = links as { name: string; links: number }[];
    assert.equal(first?.links, 2);
    assert.deepEqual(second, { ...first, name: 'Files\\b' });
    driver.calls.splice(0);
  });

  test('is read without what was thrown away, and without the disks of its utility VM', async () => {
    mkdirSync(join(base, 'Files', '$RECYCLE.BIN'));
    mkdirSync(join(base, 'UtilityVM', 'disks'));
    writeFileSync(join(base, 'UtilityVM', 'SystemTemplate.vhdx'), '');
    const names = (await readAll(base)).map(({ name }) => name);
    assert.deepEqual(
      names,
      asRead(baseEntries, sizeOf).map(({ name }) => name),
    );
  });

  test('gives an entry until the next one, and what is left unread is no matter', async () => {
    await using reader = await LayerReader.open(base, [], options);
    const [first, second] = await Array.fromAsync(take(reader, 2));
    assert.ok(first?.isDeletion === false && second?.isDeletion === false);
    await assert.rejects(first.linkInfo(), (error) => {
      assert.ok(isHcsError(error, 'ERROR_INVALID_HANDLE'));
      assert.match(error.message, /^Cannot read "Files" of layer ".*": .*gone on to another entry/);
      return true;
    });
    assert.equal((await second.read().next()).done, false);
    await assert.rejects(Array.fromAsync(reader), code('ERROR_INVALID_HANDLE'));
  });

  test('takes no name outside of it, and nothing more after that', async () => {
    for (const name of [
      'Other',
      'files\\a',
      'Files\\..\\a',
      'C:\\a',
      'Files\\a:stream',
      '\\Files',
      'UtilityVM\\a',
      '',
    ]) {
      await using writer = await LayerWriter.open(newFolder('names'), [], options);
      await assert.rejects(writer.add(name, info(archiveAttribute, 0)), code('E_INVALIDARG'), name);
      await assert.rejects(writer.commit(), (error) => {
        assert.ok(isHcsError(error, 'ERROR_INVALID_HANDLE'));
        assert.match(error.message, /^Cannot finish layer ".*": .*a call before this one failed/);
        return true;
      });
    }
    assert.deepEqual(driver.calls, []);
  });

  test('deletes nothing, takes no bytes before a file, and needs directories before what is in them', async () => {
    const refuses = async (
      work: (writer: LayerWriter) => Promise<void>,
      name: Parameters<typeof code>[0],
    ) => {
      await using writer = await LayerWriter.open(newFolder('refused'), [], options);
      await assert.rejects(work(writer), code(name));
    };
    await refuses((writer) => writer.remove('Files\\a'), 'E_INVALIDARG');
    await refuses((writer) => writer.write(Buffer.alloc(1)), 'ERROR_INVALID_HANDLE');
    await refuses((writer) => writer.add('Files\\a', info(archiveAttribute, 0)), 'ERROR_PATH_NOT_FOUND');
    await refuses((writer) => writer.addLink('Files\\a', 'Files\\b'), 'ERROR_PATH_NOT_FOUND');
    await refuses(async (writer) => {
      await writer.add('Files', info(directoryAttribute, 0));
      await writer.add('Files\\a', info(archiveAttribute, 0));
      await writer.write(Buffer.alloc(40, 0xff));
      await writer.commit();
    }, 'ERROR_INVALID_DATA');
  });

  test('that is not committed is not made', async () => {
    await using writer = await LayerWriter.open(newFolder('abandoned'), [], options);
    await writer.add('Files', info(directoryAttribute, 0));
    await writer[Symbol.asyncDispose]();
    await assert.rejects(writer.commit(), code('ERROR_INVALID_HANDLE'));
    assert.deepEqual(driver.calls, []);
  });

  test('is given up by its signal', async () => {
    const controller = new AbortController();
    await using reader = await LayerReader.open(base, [], { ...options, signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(Array.fromAsync(reader), /enough/);
    await using writer = await LayerWriter.open(newFolder('aborted'), [], options);
    await assert.rejects(writer.add('Files', info(0, 0), { signal: controller.signal }), /enough/);
  });
});

const reparse = stream('reparseData', Buffer.from('where it leads'));
const upperEntries: Written[] = [
  { name: 'Files', attributes: directoryAttribute },
  { name: 'Files\\Windows', ...directory },
  { name: 'Files\\Windows\\new', bytes: Buffer.concat([security, text('new content')]) },
  { name: 'Files\\junction', attributes: directoryAttribute | 0x400, bytes: reparse },
  { name: 'Hives', attributes: directoryAttribute },
  { name: 'Hives\\System_Delta', bytes: text('hive') },
];

describe('a layer with parents', () => {
  const upper = join(folder, 'upper');

  test('is imported with links and deletions, and exported to be read', async () => {
    newFolder('upper');
    await using writer = await LayerWriter.open(upper, [base], options);
    await addAll(writer, upperEntries);
    await writer.addLink('Files\\to new', 'Files\\Windows\\new');
    await writer.addLink('Files\\to parent', 'Files\\Windows\\a é.txt');
    await writer.remove('Files\\Windows\\large');
    await writer.remove('Files\\Windows\\never there');
    await writer.commit();
    await writer[Symbol.asyncDispose]();
    assert.deepEqual(driver.calls.splice(0), [`import ${upper}`]);
    assert.equal(readFileSync(join(upper, 'Files', 'to parent'), 'utf8'), 'hello');
    assert.equal(statSync(join(upper, 'Files', 'to new')).nlink, 2);

    const read = await readAll(upper, [base]);
    const entries = asRead(upperEntries, ({ name }) =>
      name.endsWith('new') ? 11 : name.endsWith('Delta') ? 4 : 0,
    );
    const find = (name: string) => read.find((entry) => entry.name === name);
    for (const entry of entries.filter(({ name }) => name.startsWith('Files\\')))
      assert.deepEqual(find(entry.name), entry);
    // The folders have the time of the changes to the registry.
    const hive = entries.find(({ name }) => name === 'Hives\\System_Delta');
    assert.deepEqual(find('Hives\\System_Delta'), hive);
    for (const name of ['Files', 'Hives']) assert.equal(find(name)?.lastWriteTime, hive?.lastWriteTime);
    assert.deepEqual(
      read.map(({ name, size }) => `${name}${size === undefined ? ' deleted' : ''}`),
      [
        'Files',
        'Files\\Windows',
        'Files\\Windows\\large deleted',
        'Files\\Windows\\new',
        'Files\\junction',
        'Files\\to new',
        'Files\\to parent',
        'Hives',
        'Hives\\System_Delta',
      ],
    );
    driver.calls.splice(0);
  });

  test('puts nothing behind a directory that leads elsewhere', async () => {
    await using writer = await LayerWriter.open(newFolder('behind'), [base], options);
    await addAll(writer, [
      { name: 'Files', attributes: directoryAttribute },
      { name: 'Files\\junction', attributes: directoryAttribute | 0x400, bytes: reparse },
    ]);
    await assert.rejects(
      writer.add('Files\\junction\\a', info(archiveAttribute, 0)),
      code('ERROR_PATH_NOT_FOUND'),
    );
  });

  test("gets its parent's utility VM by links, but for what Windows changes and what it has itself", async () => {
    const layer = newFolder('with utility VM');
    await using writer = await LayerWriter.open(layer, [base], options);
    {
      await using refused = await LayerWriter.open(layer, [base], options);
      await assert.rejects(
        refused.add('UtilityVM\\Files', info(directoryAttribute, 0)),
        code('E_INVALIDARG'),
      );
    }
    await writer.add('UtilityVM', info(directoryAttribute, 0));
    await writer.write(security);
    await writer.add('UtilityVM\\Files', info(directoryAttribute, 1));
    await writer.add('UtilityVM\\Files\\kernel', info(archiveAttribute, 2));
    await writer.write(text('newer kernel'));
    await writer.addLink('UtilityVM\\Files\\link', 'UtilityVM\\Files\\kernel');
    await writer.remove('UtilityVM\\Files\\old');
    await writer.commit();
    assert.deepEqual(driver.calls.splice(0), [
      `import ${layer}`,
      `processUtilityVmImage ${layer}\\UtilityVM`,
    ]);
    const inBase = (...names: string[]) => join(base, 'UtilityVM', 'Files', ...names);
    const here = (...names: string[]) => join(layer, 'UtilityVM', 'Files', ...names);
    assert.equal(readFileSync(inBase('kernel'), 'utf8'), 'kernel');
    assert.equal(readFileSync(here('link'), 'utf8'), 'newer kernel');
    assert.equal(existsSync(here('old')), false);
    assert.equal(statSync(inBase('old')).nlink, 1);
    const boot = ['EFI', 'Microsoft', 'Boot', 'BCD'];
    assert.equal(readFileSync(here(...boot), 'utf8'), 'boot');
    assert.notEqual(statSync(here(...boot)).ino, statSync(inBase(...boot)).ino);
    const files = statSync(here(), { bigint: true });
    assert.equal(files.mtimeNs / 100n + 116_444_736_000_000_000n, info(0, 1).lastWriteTime);
  });

  test('links to nothing that neither it nor a parent has, and deletes nothing but files', async () => {
    const refuses = async (
      work: (writer: LayerWriter) => Promise<void>,
      name: Parameters<typeof code>[0],
    ) => {
      await using writer = await LayerWriter.open(newFolder('refused'), [base], options);
      await assert.rejects(work(writer), code(name));
    };
    await refuses((writer) => writer.addLink('Files\\a', 'Files\\none'), 'E_INVALIDARG');
    await refuses((writer) => writer.addLink('Hives\\a', 'Files\\Windows\\large'), 'E_INVALIDARG');
    await refuses((writer) => writer.addLink('Files\\a', 'Hives\\a'), 'E_INVALIDARG');
    await refuses((writer) => writer.remove('Hives\\a'), 'E_INVALIDARG');
    await refuses((writer) => writer.remove('UtilityVM\\Files\\none'), 'ERROR_FILE_NOT_FOUND');
  });

  test('is copied by a reader and a writer, and so is its parent', async () => {
    const baseCopy = newFolder('base copy');
    await copy(base, baseCopy, []);
    assert.deepEqual(await readAll(baseCopy), await readAll(base));
    const upperCopy = newFolder('upper copy');
    await copy(upper, upperCopy, [base]);
    assert.deepEqual(await readAll(upperCopy, [base]), await readAll(upper, [base]));
    driver.calls.splice(0);
  });

  test('that was exported wrong is refused where that is', async () => {
    const exported = (files: Record<string, Buffer>) => ({
      async export(_: string, target: string): Promise<void> {
        mkdirSync(join(target, 'Files'));
        mkdirSync(join(target, 'Hives'));
        for (const [name, bytes] of Object.entries(files)) writeFileSync(join(target, name), bytes);
      },
    });
    const header = Buffer.from('\ufeffVersion 1.0\n');
    const rest = { 'tombstones.txt': header, 'Hives\\System_Delta': Buffer.alloc(0) };
    const wrong: [Record<string, Buffer>, Parameters<typeof code>[0]][] = [
      [{}, 'ERROR_FILE_NOT_FOUND'],
      [{ 'tombstones.txt': Buffer.from('\ufeffVersion 2.0') }, 'ERROR_INVALID_DATA'],
      [{ ...rest, 'tombstones.txt': Buffer.concat([header, Buffer.from('\\..\\a')]) }, 'ERROR_INVALID_DATA'],
      [{ ...rest, 'Files\\a': Buffer.alloc(3) }, 'ERROR_INVALID_DATA'],
      [{ ...rest, 'Files\\a': Buffer.alloc(30, 0xff) }, 'ERROR_INVALID_DATA'],
      [{ ...rest, 'Files\\a': Buffer.alloc(20) }, 'ERROR_INVALID_DATA'],
      [
        { ...rest, 'Files\\a': Buffer.concat([Buffer.alloc(4), text('hello')]).subarray(0, 28) },
        'ERROR_INVALID_DATA',
      ],
    ];
    for (const [files, name] of wrong) {
      await using reader = await LayerReader.open(upper, [base], { dll, driver: exported(files) });
      await assert.rejects(Array.fromAsync(reader), code(name));
    }
    const lost = Buffer.concat([header, Buffer.from('\\no folder\\a\n\n')]);
    const driver = exported({ ...rest, 'tombstones.txt': lost });
    await using reader = await LayerReader.open(upper, [base], { dll, driver });
    const last = (await Array.fromAsync(reader)).at(-1);
    assert.deepEqual(last, { name: 'Files\\no folder\\a', isDeletion: true });
  });

  test('leaves no temporary folder behind, also where the driver fails', async () => {
    const failing = { export: () => Promise.reject(new Error('no room')) };
    await assert.rejects(LayerReader.open(upper, [base], { dll, driver: failing }), /no room/);
    assert.deepEqual(temporaryFolders(), temporaryFoldersBefore);
  });
});

describe('a folder that is converted to a base layer', () => {
  const config = ['Files', 'Windows', 'System32', 'config'];

  test('gets the hives that it lacks', async () => {
    const layer = newFolder('converted');
    mkdirSync(join(layer, ...config), { recursive: true });
    writeFileSync(join(layer, ...config, 'SAM'), 'own hive');
    await convertToBaseLayer(layer, { driver });
    assert.deepEqual(driver.calls.splice(0), [`processBaseLayer ${layer}`]);
    const hives = readdirSync(join(layer, ...config)).sort();
    assert.deepEqual(hives, ['DEFAULT', 'SAM', 'SECURITY', 'SOFTWARE', 'SYSTEM']);
    assert.equal(readFileSync(join(layer, ...config, 'SAM'), 'utf8'), 'own hive');
    assert.equal(readFileSync(join(layer, ...config, 'SYSTEM'), 'utf8').slice(0, 4), 'regf');
    await convertToBaseLayer(layer, { driver });
    driver.calls.splice(0);
  });

  test('has files, and a utility VM that can boot where it has one', async () => {
    const layer = newFolder('no base');
    await assert.rejects(convertToBaseLayer(layer, { driver }), (error) => {
      assert.ok(isHcsError(error, 'ERROR_FILE_NOT_FOUND'));
      assert.match(error.message, /^Cannot convert ".*no base" to a base layer: cannot look at "Files" in /);
      return true;
    });
    mkdirSync(join(layer, 'Files'));
    mkdirSync(join(layer, 'UtilityVM', 'Files', 'EFI', 'Microsoft', 'Boot'), { recursive: true });
    await assert.rejects(convertToBaseLayer(layer, { driver }), code('ERROR_FILE_NOT_FOUND'));
    const boot = join(layer, 'UtilityVM', 'Files', 'EFI', 'Microsoft', 'Boot', 'BCD');
    mkdirSync(boot);
    await assert.rejects(convertToBaseLayer(layer, { driver }), code('ERROR_INVALID_DATA'));
    assert.deepEqual(driver.calls, []);
    rmSync(boot, { recursive: true });
    writeFileSync(boot, '');
    await convertToBaseLayer(layer, { driver });
    assert.deepEqual(driver.calls.splice(0), [
      `processBaseLayer ${layer}`,
      `processUtilityVmImage ${layer}\\UtilityVM`,
    ]);
  });
});

describe('privileges', () => {
  test('are held by several at a time, and one that nobody has is told', () => {
    using _ = holdPrivileges(['SeBackupPrivilege']);
    holdPrivileges(['SeBackupPrivilege', 'SeRestorePrivilege'])[Symbol.dispose]();
    assert.throws(() => holdPrivileges(['SeNoSuchPrivilege']), {
      name: 'WindowsError',
      message:
        /^Cannot enable privilege "SeNoSuchPrivilege" of this process: LookupPrivilegeValueW failed with WIN32_ERROR 0x00000521/,
    });
    assert.throws(
      () => holdPrivileges(['SeTrustedCredManAccessPrivilege']),
      /AdjustTokenPrivileges failed|LookupPrivilegeValueW/,
    );
  });
});

test('nothing is left open', async () => {
  await readAll(base);
  const before = openHandles();
  for (let count = 0; count < 5; count++) await readAll(base);
  assert.ok(openHandles() - before < 5, `${openHandles() - before} handles more than before`);
  await assertNothingLeakedFrom(ledgerOf('wine-lacks.dll'));
  await assertNothingLeakedFrom(ledgerOf('offreg.dll'));
});

/** As the README has it. */
async function copy(from: string, to: string, parents: readonly string[]): Promise<void> {
  await using reader = await LayerReader.open(from, parents, options);
  await using writer = await LayerWriter.open(to, parents, options);
  for await (const entry of reader) {
    if (entry.isDeletion) {
      await writer.remove(entry.name);
      continue;
    }
    await writer.add(entry.name, entry.info);
    for await (const bytes of entry.read()) await writer.write(bytes);
  }
  await writer.commit();
}

async function* take<T>(source: AsyncIterable<T>, count: number): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  for (let index = 0; index < count; index++) {
    const { value, done } = await iterator.next();
    if (done) return;
    yield value;
  }
}
