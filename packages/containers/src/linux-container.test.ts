import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { afterEach, test } from 'node:test';
import { BridgeServer, GuestConnection, type GuestHandlers } from '@hcsshim/bridge';
import { HcsError } from '@hcsshim/hcs';
import { parseContainerConfig } from '@hcsshim/schema';
import type { UtilityVm } from '@hcsshim/uvm';
import { LinuxContainer } from './linux-container.ts';

let owned = new AsyncDisposableStack();
afterEach(async () => {
  await owned.disposeAsync();
  owned = new AsyncDisposableStack();
});

const spec = { ociVersion: '1.0.2', process: { user: {}, args: ['true'], cwd: '/' } };
const disks = { spec, layers: ['top.vhd', 'base.vhd'], scratch: 'scratch.vhd' };

/** A VM whose guest and whose disk slots note what they are asked for. */
async function notingVm(refuse: Partial<GuestHandlers> = {}): Promise<{ vm: UtilityVm; notes: string[] }> {
  const notes: string[] = [];
  const note = (name: string) => async (): Promise<Record<string, never>> => {
    notes.push(name);
    return {};
  };
  const [hostEnd, guestEnd] = duplexPair();
  const served = new BridgeServer().serve(guestEnd, {
    async ModifySettings({ Request: { RequestType, ResourceType, Settings } }) {
      assert.equal(ResourceType, 'CombinedLayers');
      notes.push(`${RequestType} ${JSON.stringify(Settings)}`);
    },
    async Create({ ContainerConfig }) {
      const { OciBundlePath, ScratchDirPath, OciSpecification } = parseContainerConfig(ContainerConfig);
      notes.push(`create in ${OciBundlePath}, ${ScratchDirPath}, ${OciSpecification?.root?.path}`);
      return {};
    },
    ShutdownForced: note('kill'),
    DeleteContainerState: note('delete state'),
    ...refuse,
  });
  const guest = await GuestConnection.connect(hostEnd);
  owned.defer(() => served);
  owned.use(guest);
  let count = 0;
  const mount: UtilityVm['disks']['mount'] = async ({ path, guestPath = `/mnt/${count++}` }) => {
    notes.push(`mount ${path} at ${guestPath}`);
    const unmount = async (): Promise<void> => void notes.push(`unmount ${path}`);
    return { controller: 0, lun: 0, guestPath, [Symbol.asyncDispose]: unmount };
  };
  return { vm: { guest, disks: { mount } } as UtilityVm, notes };
}

const layers =
  '{"ContainerID":"c","ContainerRootPath":"/run/gcs/c/c/rootfs","Layers":[{"Path":"/mnt/0"},{"Path":"/mnt/1"}],"ScratchPath":"/run/gcs/c/c/scratch/c"}';
const making = [
  'mount top.vhd at /mnt/0',
  'mount base.vhd at /mnt/1',
  'mount scratch.vhd at /run/gcs/c/c',
  `Add ${layers}`,
];
const takingBack = [`Remove ${layers}`, 'unmount scratch.vhd', 'unmount base.vhd', 'unmount top.vhd'];

test("a container is made where upstream's host makes it, and its state is deleted after its disks are gone", async () => {
  const { vm, notes } = await notingVm();
  const container = await LinuxContainer.create(vm, { id: 'c', ...disks });
  await container[Symbol.asyncDispose]();
  assert.deepEqual(notes, [
    ...making,
    'create in /run/gcs/c/c, /run/gcs/c/c/scratch/c, /run/gcs/c/c/rootfs',
    'kill',
    ...takingBack,
    'delete state',
  ]);
});

test('a container that the guest does not create leaves nothing, and has no state to delete', async () => {
  const { vm, notes } = await notingVm({
    async Create() {
      throw new HcsError({ action: 'Cannot create it', problem: 'no', code: 'E_INVALIDARG' });
    },
  });
  await assert.rejects(LinuxContainer.create(vm, { id: 'c', ...disks }), { code: 'E_INVALIDARG' });
  assert.deepEqual(notes, [...making, ...takingBack]);
});
