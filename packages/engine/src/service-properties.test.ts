import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { findFault, type GetPropertyType } from '@hcsshim/schema/hcs';
import { readProcessorTopology, readServiceProperties } from './service-properties.ts';

describe('properties of the host', () => {
  it('come in the order of the query, in the documents of HCS', () => {
    const { Properties = [] } = readServiceProperties({ PropertyTypes: ['ProcessorTopology', 'Basic'] });
    assert.equal(Properties.length, 2);
    assert.equal(findFault('ProcessorTopology', Properties[0]), undefined);
    assert.deepEqual(Properties[1], { SupportedSchemaVersions: [{ Major: 2, Minor: 1 }] });
  });

  it('that Linux has not are refused in words', () => {
    for (const type of ['Memory', 'CpuGroup', 'ContainerCredentialGuard', 'CacheAllocation'] as const) {
      assert.throws(() => readServiceProperties({ PropertyTypes: [type] }), {
        code: 'ERROR_NOT_SUPPORTED',
        message: new RegExp(`^Cannot read properties of the Host Compute Service: property "${type}": .{10}`),
      });
    }
    assert.throws(() => readServiceProperties({ PropertyTypes: ['Odd' as GetPropertyType] }), {
      code: 'HCS_E_INVALID_JSON',
    });
  });

  it('asked for by name are answered one by one', () => {
    const { PropertyResponses } = readServiceProperties({ PropertyQueries: { Basic: {}, CpuGroup: {} } });
    assert.deepEqual(PropertyResponses?.Basic, {
      Response: { SupportedSchemaVersions: [{ Major: 2, Minor: 1 }] },
    });
    assert.equal(PropertyResponses?.CpuGroup?.Error?.Error, 0x80070032 | 0);
  });

  it('count the processors that are online, by their numbers', async () => {
    const root = await mkdtemp(join(tmpdir(), 'cpus-'));
    try {
      for (const [index, core] of [
        [0, 4],
        [10, 5],
      ]) {
        const topology = join(root, `cpu${index}`, 'topology');
        await mkdir(topology, { recursive: true });
        await mkdir(join(root, `cpu${index}`, 'node1'));
        await writeFile(join(topology, 'physical_package_id'), '2\n');
        await writeFile(join(topology, 'core_id'), `${core}\n`);
      }
      await mkdir(join(root, 'cpu2'));
      await mkdir(join(root, 'cpufreq'));
      assert.deepEqual(readProcessorTopology(root), {
        LogicalProcessorCount: 2,
        LogicalProcessors: [
          { LpIndex: 0, NodeNumber: 1, PackageId: 2, CoreId: 4 },
          { LpIndex: 10, NodeNumber: 1, PackageId: 2, CoreId: 5 },
        ],
      });
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
