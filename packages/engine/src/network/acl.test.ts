import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEstablished, linkIs, portIs, protocolIs, verdict } from '@hcsshim/linux/netlink';
import type { AclPolicySetting, EndpointPolicy } from '@hcsshim/schema/hcn';
import { aclTable, readAcl } from './acl.ts';

const block = { Action: 'Block', Direction: 'In' } as const;

test('a rule is read with all its lists', () => {
  const rule = readAcl({
    ...block,
    Priority: 7,
    Protocols: '6, 17',
    LocalAddresses: '10.0.0.1',
    RemoteAddresses: '10.1.0.0/16,10.2.0.0/16',
    LocalPorts: '80,443',
  });
  assert.deepEqual(rule, {
    direction: 'In',
    action: 'drop',
    priority: 7,
    protocols: [6, 17],
    localAddresses: [{ network: 0x0a000001, length: 32 }],
    remoteAddresses: [
      { network: 0x0a010000, length: 16 },
      { network: 0x0a020000, length: 16 },
    ],
    localPorts: [80, 443],
    remotePorts: [],
  });
});

test('what a rule cannot say here is refused in words', () => {
  const refused: [AclPolicySetting, code: string, words: RegExp][] = [
    [{ Action: 'Block' }, 'HCN_E_INVALID_POLICY', /"Direction"/],
    [{ ...block, Action: 'Pass' }, 'ERROR_NOT_SUPPORTED', /"Pass"/],
    [{ ...block, RuleType: 'Host' }, 'ERROR_NOT_SUPPORTED', /rule of the host/],
    [{ ...block, LocalPorts: '80' }, 'HCN_E_INVALID_POLICY', /"Protocols"/],
    [{ ...block, Protocols: '6', LocalPorts: '80-90' }, 'ERROR_NOT_SUPPORTED', /range in "LocalPorts"/],
    [{ ...block, Protocols: 'tcp' }, 'HCN_E_INVALID_POLICY', /"tcp"/],
    [{ ...block, Protocols: '256' }, 'HCN_E_INVALID_POLICY', /"256"/],
    [{ ...block, RemoteAddresses: 'fd00::1' }, 'HCN_E_INVALID_POLICY', /IPv4/],
    [
      {
        ...block,
        Protocols: '6,17',
        LocalPorts: Array.from({ length: 30 }, (_, index) => index + 1).join(','),
        RemotePorts: Array.from({ length: 30 }, (_, index) => index + 1).join(','),
      },
      'HCN_E_INVALID_POLICY',
      /1024 combinations/,
    ],
  ];
  for (const [settings, code, message] of refused) assert.throws(() => readAcl(settings), { code, message });
});

test('rules are in the order of their priorities, after what belongs to a connection', () => {
  const acl = (Priority: number, LocalPorts: string): EndpointPolicy => ({
    Type: 'ACL',
    Settings: { ...block, Protocols: '6', Priority, LocalPorts },
  });
  const document = { Policies: [acl(200, '80,81'), acl(100, '82')] };
  const { chains } = aclTable([{ document, interfaceName: 'eth0' }]);
  const [input, output] = chains;
  assert.deepEqual(
    chains.map(({ hook }) => hook),
    ['input', 'output'],
  );
  const passes = [...isEstablished(), ...verdict('accept')];
  const dropped = [82, 80, 81].map((port) => [
    ...linkIs('in', 'eth0'),
    ...protocolIs(6),
    ...portIs('destination', port),
    ...verdict('drop'),
  ]);
  assert.deepEqual(input?.rules, [passes, ...dropped]);
  assert.deepEqual(output?.rules, [passes]);
});

test('without ACLs there is no filter', () => {
  assert.deepEqual(aclTable([{ document: {}, interfaceName: 'eth0' }]).chains, []);
});
