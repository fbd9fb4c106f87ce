import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertKeepsRule, faultOfEndpoint, faultOfNetwork, faultOfRoute } from './document-rules.ts';

const network = (...Subnets: object[]) => ({ Ipams: [{ Type: 'Static' as const, Subnets }] });
const gateway = { NextHop: '10.0.0.1', DestinationPrefix: '0.0.0.0/0' };

test('a subnet with addresses needs a default gateway', () => {
  assert.equal(faultOfNetwork({}), undefined);
  assert.equal(faultOfNetwork(network({})), undefined);
  assert.equal(faultOfNetwork(network({ IpAddressPrefix: '10.0.0.0/24', Routes: [gateway] })), undefined);
  const ipv6 = { NextHop: 'fd00::1', DestinationPrefix: '::/0' };
  assert.equal(faultOfNetwork(network({ IpAddressPrefix: 'fd00::/64', Routes: [ipv6] })), undefined);
  assert.match(
    faultOfNetwork(network({ IpAddressPrefix: '10.0.0.0/24' }))?.problem ?? '',
    /^subnet "10\.0\.0\.0\/24" has no default gateway, /,
  );
  const elsewhere = { NextHop: '10.0.0.1', DestinationPrefix: '10.1.0.0/16' };
  assert.match(
    faultOfNetwork(network({ IpAddressPrefix: '10.0.0.0/24', Routes: [elsewhere] }))?.problem ?? '',
    /no default gateway/,
  );
  assert.match(
    faultOfNetwork(network({ IpAddressPrefix: '10.0.0.0/24', Routes: [gateway, { NextHop: '' }] }))
      ?.problem ?? '',
    /a route without a "NextHop"/,
  );
});

test('an endpoint names its network, and no namespace yet', () => {
  const id = '01234567-89ab-cdef-0123-456789abcdef';
  assert.equal(faultOfEndpoint({ HostComputeNetwork: id }), undefined);
  assert.match(faultOfEndpoint({})?.problem ?? '', /"HostComputeNetwork" must name its network/);
  assert.match(
    faultOfEndpoint({ HostComputeNetwork: id, HostComputeNamespace: id })?.problem ?? '',
    /"HostComputeNamespace" is read-only/,
  );
});

test('a route needs an endpoint', () => {
  assert.equal(faultOfRoute({ HostComputeEndpoints: ['x'] }), undefined);
  assert.throws(() => assertKeepsRule('Cannot create a route', faultOfRoute({})), {
    code: 'E_INVALIDARG',
    message: /^Cannot create a route: field "HostComputeEndpoints" must name an endpoint, /,
  });
});
