import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AclPolicySetting, HostComputeNetwork } from '@hcsshim/schema/hcn';
import fc from 'fast-check';
import { aclTable, readAcl } from './acl.ts';
import { chooseMac } from './mac-pool.ts';
import { filterOf } from './query-filter.ts';
import { Refusal } from './refusal.ts';
import { subnetsOf } from './subnets.ts';

/** Set HCSSHIM_FUZZ_RUNS for a long run. */
const numRuns = Number(process.env.HCSSHIM_FUZZ_RUNS ?? 2000);

/** Texts that are addresses, prefixes, numbers and lists of them, or nearly. */
const item = fc.oneof(
  fc.ipV4(),
  fc.ipV4Extended(),
  fc.ipV6(),
  fc.tuple(fc.ipV4(), fc.nat(40)).map(([address, length]) => `${address}/${length}`),
  fc.nat(70_000).map(String),
  fc.string({ maxLength: 20 }),
);
const texts = fc.array(item, { maxLength: 5 }).map((items) => items.join(','));

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return undefined;
  }
}

test('whatever is in an ACL, it becomes rules of bounded number or a refusal', () => {
  const lists = { Protocols: texts, LocalAddresses: texts, RemoteAddresses: texts, LocalPorts: texts };
  const settings = fc.record(
    { ...lists, Action: fc.constantFrom('Allow', 'Block', 'Pass'), Direction: fc.constantFrom('In', 'Out') },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(settings, (value) => {
      const Settings = value as AclPolicySetting;
      if (attempt(() => readAcl(Settings)) === undefined) return;
      const { chains } = aclTable([
        { document: { Policies: [{ Type: 'ACL', Settings }] }, interfaceName: 'eth0' },
      ]);
      for (const { rules } of chains) assert.ok(rules.length <= 1025);
    }),
    { numRuns },
  );
});

test('whatever a subnet says, its gateway is a host in it, or it is refused', () => {
  fc.assert(
    fc.property(item, item, fc.constantFrom('NAT', 'L2Bridge'), (IpAddressPrefix, NextHop, Type) => {
      const Routes = [{ NextHop, DestinationPrefix: '0.0.0.0/0' }];
      const document = { Type, Ipams: [{ Subnets: [{ IpAddressPrefix, Routes }] }] } as HostComputeNetwork;
      for (const { prefix, gateway } of attempt(() => subnetsOf(document)) ?? []) {
        assert.ok(prefix.length >= 8 && prefix.length <= 30);
        assert.ok(gateway > prefix.network && gateway < prefix.network + 2 ** (32 - prefix.length) - 1);
      }
    }),
    { numRuns },
  );
});

test('whatever MAC address is asked for, one is given in its form, or it is refused', () => {
  const hex = fc.string({
    unit: fc.constantFrom(...'0123456789abcdefABCDEF:-'),
    minLength: 15,
    maxLength: 19,
  });
  const near = fc.oneof(hex, fc.string(), fc.constant('02-15-5d-00-00-01'));
  fc.assert(
    fc.property(near, near, near, (asked, StartMacAddress, EndMacAddress) => {
      const pool = { Ranges: [{ StartMacAddress, EndMacAddress }] };
      for (const one of [asked, undefined]) {
        const given = attempt(() => chooseMac(pool, one, 0x0ad50002, new Map()));
        if (given !== undefined) assert.match(given, /^[0-9A-F]{2}(-[0-9A-F]{2}){5}$/);
      }
    }),
    { numRuns },
  );
});

test('whatever a filter is, it tells of each document yes or no, or is refused', () => {
  const filter = fc.oneof(
    fc.string(),
    fc.json(),
    fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value)),
  );
  fc.assert(
    fc.property(filter, fc.dictionary(fc.string(), fc.jsonValue()), (Filter, document) => {
      const passes = attempt(() => filterOf({ Filter }));
      if (passes !== undefined) assert.equal(typeof passes(document), 'boolean');
    }),
    { numRuns },
  );
});
