import assert from 'node:assert/strict';
import { type BasicInformation, findFault, type GetPropertyType } from '@hcsshim/schema/hcs';
import type { ContractTest } from './contract-test.ts';
import { assertFails } from './expectations.ts';

export const service: Record<string, ContractTest> = {
  async 'the service tells of its host, in the order in which it is asked'(harness) {
    const { Properties = [] } = await harness.compute.getServiceProperties({
      PropertyTypes: ['ProcessorTopology', 'Basic'],
    });
    const [topology, basic] = Properties;
    assert.equal(Properties.length, 2);
    assert.equal(findFault('ProcessorTopology', topology, { allowUnknownFields: true }), undefined);
    assert.equal(findFault('BasicInformation', basic, { allowUnknownFields: true }), undefined);
    assert.ok((basic as BasicInformation).SupportedSchemaVersions?.some(({ Major }) => Major === 2));
  },

  async 'a property that no schema knows is refused'(harness) {
    await assertFails(
      harness.compute.getServiceProperties({ PropertyTypes: ['Odd' as GetPropertyType] }),
      'HCS_E_INVALID_JSON',
      'PropertyTypes',
    );
  },
};
