/*
 * Kernel modules of the guest. Each one costs at every boot that loads it (5 to 20 ms under emulation), so
 * the initial ram disk loads only what a VM cannot do without; the rest waits in the root file system for
 * `modprobe`.
 */

/** Loaded before the root disk is looked for, on a VM with virtio devices (QEMU). */
export const virtioBootModules = [
  'virtio_pci',
  'virtio_scsi',
  'virtio_console',
  'vmw_vsock_virtio_transport',
  'pvpanic-pci',
] as const;

/** Loaded before the root disk is looked for, on a VM without virtio devices: Hyper-V. */
export const hyperVBootModules = ['hv_vmbus', 'hv_storvsc', 'hv_utils', 'hv_sock'] as const;

/**
 * Loaded on any VM, for the root file system. ext4 asks for crc32c by what it does, which nothing in the
 * initial ram disk would answer.
 */
export const rootModules = ['sd_mod', 'crc32c_generic', 'ext4', 'overlay'] as const;

/** In the root file system, for `modprobe`: all of the above, and what only some VMs need. */
export const rootfsModules = [
  ...virtioBootModules,
  ...hyperVBootModules,
  ...rootModules,
  'virtio_balloon',
  'virtio_blk',
  'virtio_net',
  'virtio_pmem',
  'virtio_rng',
  'nd_pmem',
  'hv_balloon',
  'hv_netvsc',
  'pci-hyperv',
  '9p',
  '9pnet_fd',
  '9pnet_virtio',
  'virtiofs',
  'dm-mod',
  'dm-verity',
  'dm-crypt',
  'aesni-intel',
  'crc32c-intel',
  'ecb',
  'xts',
  'loop',
] as const;
