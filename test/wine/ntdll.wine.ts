import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { bind, DllCallError, type Handle, kernel32, ntdll, OwnedHandle } from '@hcsshim/windows';
import { currentProcess, objectAttributes } from './native-structures.ts';

const root = mkdtempSync(join(tmpdir(), 'ntdll-'));
after(() => rmSync(root, { recursive: true }));

const statusNoMoreEntries = 0x8000001a;
const objectNameNotFound = 0xc0000034;
const objectNameCollision = 0xc0000035;

function own(handle: Handle<'HANDLE'>): OwnedHandle<'HANDLE'> {
  return new OwnedHandle('HANDLE', handle, (object) => bind(kernel32).CloseHandle({ object }));
}

async function openRoot(): Promise<OwnedHandle<'HANDLE'>> {
  const { file } = await create(objectAttributes(`\\??\\${root}`), {
    access: 0x100001,
    disposition: 1,
    options: 0x21,
  });
  return own(file);
}

function create(
  attributes: Buffer,
  { access, disposition, options }: { access: number; disposition: number; options: number },
  ioStatusBlock = Buffer.alloc(16),
) {
  return bind(ntdll).NtCreateFile({
    desiredAccess: access,
    objectAttributes: attributes,
    ioStatusBlock,
    allocationSize: null,
    fileAttributes: 0x80,
    shareAccess: 7,
    createDisposition: disposition,
    createOptions: options,
    extendedAttributes: null,
    extendedAttributesLength: 0,
  });
}

/** `FILE_RENAME_INFORMATION`: a flag, at 8 the directory, at 16 the length of the name, then the name. */
function renameTo(name: string, directory: Handle<'HANDLE'>): Buffer {
  const text = Buffer.from(name, 'utf16le');
  const information = Buffer.alloc(20 + text.length);
  information.writeBigUInt64LE(directory, 8);
  information.writeUInt32LE(text.length, 16);
  text.copy(information, 20);
  return information;
}

describe('ntdll.dll', () => {
  test('makes, renames and deletes a file below a directory that is open', async () => {
    await using directory = await openRoot();
    await directory.use(async (handle) => {
      const ioStatusBlock = Buffer.alloc(16);
      const asNew = { access: 0x110003, disposition: 2, options: 0x20 };
      const { file } = await create(objectAttributes('first', handle), asNew, ioStatusBlock);
      // FILE_CREATED
      assert.equal(ioStatusBlock.readBigUInt64LE(8), 2n);
      await using made = own(file);
      await assert.rejects(create(objectAttributes('first', handle), asNew), {
        kind: 'NTSTATUS',
        status: objectNameCollision,
      });
      const information = renameTo('second é', handle);
      await made.use((one) =>
        bind(ntdll).NtSetInformationFile({
          file: one,
          ioStatusBlock,
          information,
          length: information.length,
          informationClass: 10,
        }),
      );
      assert.deepEqual(readdirSync(root), ['second é']);
      await made.use((one) =>
        bind(ntdll).NtSetInformationFile({
          file: one,
          ioStatusBlock,
          information: Buffer.from([1]),
          length: 1,
          informationClass: 13,
        }),
      );
      await made.close();
      assert.deepEqual(readdirSync(root), []);
    });
  });

  test('opens what is there, and tells what is not', async () => {
    writeFileSync(join(root, 'there'), 'text');
    await using directory = await openRoot();
    await directory.use(async (handle) => {
      const existing = { access: 0x100001, disposition: 1, options: 0x20 };
      await using opened = own((await create(objectAttributes('there', handle), existing)).file);
      assert.equal(opened.state, 'open');
      await assert.rejects(create(objectAttributes('absent', handle), existing), {
        status: objectNameNotFound,
      });
    });
    assert.equal(readFileSync(join(root, 'there'), 'utf8'), 'text');
  });

  test('lists a directory of objects, entry by entry', async () => {
    const { NtOpenDirectoryObject, NtQueryDirectoryObject } = bind(ntdll);
    const { directory } = await NtOpenDirectoryObject({
      desiredAccess: 1,
      objectAttributes: objectAttributes('\\??'),
    });
    await using owned = own(directory);
    const names: string[] = [];
    let context = 0;
    let end: unknown;
    while (end === undefined) {
      const buffer = Buffer.alloc(4096);
      const asked = owned.use((one) =>
        NtQueryDirectoryObject({
          directory: one,
          buffer,
          length: buffer.length,
          returnSingleEntry: true,
          restartScan: names.length === 0,
          context,
        }),
      );
      try {
        context = (await asked).context;
        names.push(firstName(buffer));
      } catch (error) {
        end = error;
      }
    }
    assert.ok(end instanceof DllCallError && end.status === statusNoMoreEntries);
    assert.ok(names.includes('C:') && names.length === context, names.join());
    await assert.rejects(
      NtOpenDirectoryObject({ desiredAccess: 1, objectAttributes: objectAttributes('\\no such directory') }),
      { status: objectNameNotFound },
    );
  });

  test('makes and opens jobs by native names', () => {
    const { NtCreateJobObject, NtOpenJobObject } = bind(ntdll);
    const attributes = objectAttributes('\\BaseNamedObjects\\hcsshim-ntdll');
    using made = own(NtCreateJobObject({ desiredAccess: 0x1f003f, objectAttributes: attributes }).job);
    using opened = own(NtOpenJobObject({ desiredAccess: 4, objectAttributes: attributes }).job);
    assert.equal(made.state, opened.state);
    assert.throws(
      () =>
        NtOpenJobObject({
          desiredAccess: 4,
          objectAttributes: objectAttributes('\\BaseNamedObjects\\hcsshim-no'),
        }),
      { status: objectNameNotFound },
    );
  });

  test('tells of this process, and of the system', async () => {
    const { NtQueryInformationProcess, NtQuerySystemInformation } = bind(ntdll);
    // PROCESS_BASIC_INFORMATION: the id at 32.
    const basic = Buffer.alloc(48);
    NtQueryInformationProcess({
      process: currentProcess,
      informationClass: 0,
      information: basic,
      length: 48,
    });
    assert.equal(basic.readBigUInt64LE(32), BigInt(process.pid));
    // SYSTEM_BASIC_INFORMATION: the page size at 8.
    const system = Buffer.alloc(64);
    await NtQuerySystemInformation({ informationClass: 0, information: system, length: 64 });
    assert.equal(system.readUInt32LE(8), 4096);
    // STATUS_INFO_LENGTH_MISMATCH
    await assert.rejects(NtQuerySystemInformation({ informationClass: 0, information: system, length: 8 }), {
      status: 0xc0000004,
    });
  });

  test('knows the Win32 codes of its own', () => {
    const { RtlNtStatusToDosError } = bind(ntdll);
    assert.equal(RtlNtStatusToDosError({ status: objectNameNotFound }), 2);
    assert.equal(RtlNtStatusToDosError({ status: objectNameCollision }), 183);
    assert.equal(RtlNtStatusToDosError({ status: 0 }), 0);
  });
});

/** The name in the first `OBJECT_DIRECTORY_INFORMATION`, whose text is in the buffer behind the two entries. */
function firstName(buffer: Buffer): string {
  const length = buffer.readUInt16LE(0);
  // One entry, and one of zeros that ends the list, 32 bytes each.
  return buffer.toString('utf16le', 64, 64 + length);
}
