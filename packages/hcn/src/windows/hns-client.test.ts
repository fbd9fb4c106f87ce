import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HNSEndpoint } from '@hcsshim/schema/hns';
import { DllCallError } from '@hcsshim/windows';
import { createHnsClient, type HnsClient } from './hns-client.ts';

interface Request {
  method: string;
  path: string;
  body: unknown;
}

/** A client whose requests are noted, and answered in turn; an answer that is no string becomes an output. */
function clientOf(...answers: unknown[]): { hns: HnsClient; requests: Request[] } {
  const requests: Request[] = [];
  const hns = createHnsClient({
    hnsCall: async (method, path, body) => {
      requests.push({ method, path, body: body === '' ? undefined : JSON.parse(body) });
      assert.ok(answers.length > 0, `nothing is known of ${method} ${path}`);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return typeof answer === 'string' ? answer : JSON.stringify({ Success: true, Output: answer });
    },
  });
  return { hns, requests };
}

const id = '0A9D31D9-0000-4000-8000-000000000001';
const other = '0a9d31d9-0000-4000-8000-000000000002';

describe('requests to the Host Network Service', () => {
  test('are sent as they are, and give the output of the envelope', async () => {
    const { hns, requests } = clientOf({ any: 1 }, '{"Success":true}', '{"Success":true,"Output":null}');
    assert.deepEqual(await hns.request('POST', '/odd/path', { a: 'ü' }), { any: 1 });
    assert.equal(await hns.request('GET', '/odd/path'), undefined);
    assert.equal(await hns.request('DELETE', '/odd/path'), undefined);
    assert.deepEqual(requests, [
      { method: 'POST', path: '/odd/path', body: { a: 'ü' } },
      { method: 'GET', path: '/odd/path', body: undefined },
      { method: 'DELETE', path: '/odd/path', body: undefined },
    ]);
  });

  const failures: [name: string, answer: string | Error | null, code: string, words: RegExp][] = [
    [
      'a failure with a code',
      '{"Success":false,"Error":"Taken. ","ErrorCode":2151350288}',
      'HCN_E_NETWORK_ALREADY_EXISTS',
      /: Taken, HCN_E/,
    ],
    [
      'a missing element',
      '{"Success":false,"Error":"Element not found."}',
      'ERROR_NOT_FOUND',
      /: Element not found, /,
    ],
    [
      'a failure without a code',
      '{"Success":false,"Error":"The adapter is gone."}',
      'E_FAIL',
      /The adapter is gone/,
    ],
    ['a failure without words', '{"Success":false}', 'E_FAIL', /does not say why/],
    ['no JSON', 'HTTP/1.1 500', 'ERROR_INVALID_DATA', /is no JSON/],
    ['a list', '[]', 'ERROR_INVALID_DATA', /is no object/],
    [
      'an envelope that does not say',
      '{"Output":{}}',
      'ERROR_INVALID_DATA',
      /does not say whether it succeeded/,
    ],
    [
      'words of a wrong type',
      '{"Success":false,"Error":7}',
      'ERROR_INVALID_DATA',
      /a field "Error" that is no string/,
    ],
    ['nothing', '', 'ERROR_INVALID_DATA', /is missing/],
  ];
  for (const [name, answer, code, words] of failures) {
    test(`tell of ${name}`, async () => {
      const { hns } = clientOf(answer);
      await assert.rejects(hns.networks.get(id), { code, message: words });
    });
  }

  test('tell of a call that failed, with its code and cause', async () => {
    const failed = new DllCallError({
      dll: 'vmcompute.dll',
      procedure: 'HNSCall',
      kind: 'HRESULT',
      status: 0x80070005,
    });
    const { hns } = clientOf(failed);
    await assert.rejects(hns.networks.list(), { code: 'E_ACCESSDENIED', cause: failed });
  });

  test('end with their signal, though the service says nothing', async () => {
    const hns = createHnsClient({ hnsCall: () => new Promise(() => {}) });
    const reason = new Error('enough');
    const controller = new AbortController();
    const request = hns.networks.list({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(request, (error) => error === reason);
  });

  test('never leave the path of their kind, whatever the id', async () => {
    const { hns, requests } = clientOf();
    for (const wrong of ['', '../networks', `${id}/attach`, 'a b', 'x'.repeat(65)])
      await assert.rejects(hns.endpoints.get(wrong), { code: 'E_INVALIDARG' });
    assert.deepEqual(requests, []);
  });

  test('give the version', async () => {
    const { hns, requests } = clientOf({ Major: 9, Minor: 3 }, { Major: '9' });
    assert.deepEqual(await hns.version(), { Major: 9, Minor: 3 });
    assert.equal(requests[0]?.path, '/globals/version');
    await assert.rejects(hns.version(), { code: 'ERROR_INVALID_DATA', message: /is no version/ });
  });
});

describe('networks of the first interface', () => {
  test('are listed, opened, found by name, made and deleted', async () => {
    const nat = { ID: id, Name: 'nat', Type: 'nat', CurrentEndpointCount: 3 };
    const { hns, requests } = clientOf([nat], nat, [nat], nat, undefined);
    assert.deepEqual(await hns.networks.list(), [nat]);
    assert.deepEqual(await hns.networks.get(id), nat);
    assert.deepEqual(await hns.networks.getByName('nat'), nat);
    const wanted = {
      Name: 'nat',
      Type: 'nat',
      Subnets: [{ AddressPrefix: '10.0.0.0/24', GatewayAddress: '10.0.0.1' }],
    };
    assert.deepEqual(await hns.networks.create(wanted), nat);
    await hns.networks.delete(id);
    assert.deepEqual(requests, [
      { method: 'GET', path: '/networks/', body: undefined },
      { method: 'GET', path: `/networks/${id}`, body: undefined },
      { method: 'GET', path: '/networks/', body: undefined },
      { method: 'POST', path: '/networks/', body: wanted },
      { method: 'DELETE', path: `/networks/${id}`, body: undefined },
    ]);
  });

  test('need a name that is there, a gateway for each prefix, and fields of the schema', async () => {
    const { hns } = clientOf([]);
    await assert.rejects(hns.networks.getByName('nat'), {
      code: 'HCN_E_NETWORK_NOT_FOUND',
      message: /^Cannot find HNS network "nat": no HNS network has this name, /,
    });
    await assert.rejects(hns.networks.create({ Subnets: [{ AddressPrefix: '10.0.0.0/24' }] }), {
      code: 'HCN_E_INVALID_SUBNET',
      message: /subnet "10\.0\.0\.0\/24" has no "GatewayAddress"/,
    });
    await assert.rejects(hns.networks.create({ Nmae: 'x' } as never), {
      code: 'HCS_E_INVALID_JSON',
      message: /field "Nmae" is unknown, did you mean "Name"\?/,
    });
  });

  test('with fields of other types are refused', async () => {
    const { hns } = clientOf([{ ID: 7 }], { ID: id, Policies: {} }, 'null', [5]);
    await assert.rejects(hns.networks.list(), { message: /a field "ID" that is no string/ });
    await assert.rejects(hns.networks.get(id), { message: /a field "Policies" that is no list/ });
    await assert.rejects(hns.networks.get(id), { message: /is no object/ });
    await assert.rejects(hns.networks.list(), { message: /is no object/ });
  });
});

describe('endpoints of the first interface', () => {
  test('are attached to a container, a host and a VM, and detached', async () => {
    const { hns, requests } = clientOf(...Array.from({ length: 6 }, () => ({ Success: true })));
    const attachments = [
      { to: 'container', containerId: 'c1', compartmentId: 2 },
      { to: 'host', compartmentId: 1 },
      { to: 'virtual machine', nicName: 'nic' },
    ] as const;
    for (const attachment of attachments) {
      await hns.endpoints.attach(id, attachment);
      await hns.endpoints.detach(id, attachment);
    }
    assert.deepEqual(
      requests.map(({ method, path, body }) => [method, path, body]),
      [
        ['POST', `/endpoints/${id}/attach`, { SystemType: 'Container', ContainerId: 'c1', CompartmentId: 2 }],
        ['POST', `/endpoints/${id}/detach`, { SystemType: 'Container', ContainerId: 'c1' }],
        ['POST', `/endpoints/${id}/attach`, { SystemType: 'Host', CompartmentId: 1 }],
        ['POST', `/endpoints/${id}/detach`, { SystemType: 'Host' }],
        ['POST', `/endpoints/${id}/attach`, { SystemType: 'VirtualMachine', VirtualNicName: 'nic' }],
        ['POST', `/endpoints/${id}/detach`, { SystemType: 'VirtualMachine' }],
      ],
    );
  });

  test('know what uses them, in any letter case', async () => {
    const shared = { ID: id, SharedContainers: ['C1'] };
    const { hns } = clientOf(shared, shared, { ID: id });
    assert.equal(await hns.endpoints.isAttached(id, 'c1'), true);
    assert.equal(await hns.endpoints.isAttached(id, 'c'), false);
    assert.equal(await hns.endpoints.isAttached(id, 'c1'), false);
  });

  test('keep their policies and unknown fields when some are added', async () => {
    const endpoint = { ID: id, Policies: [{ Type: 'NAT' }], Resources: { a: 1 } };
    const { hns, requests } = clientOf(endpoint, endpoint, endpoint, endpoint);
    await hns.endpoints.applyAclPolicies(id, [{ Action: 'Block', Direction: 'In', Priority: 5 }]);
    await hns.endpoints.applyProxyPolicies(id, [{ Port: '8080' }]);
    assert.deepEqual(requests[1], {
      method: 'POST',
      path: `/endpoints/${id}`,
      body: {
        ...endpoint,
        Policies: [{ Type: 'NAT' }, { Action: 'Block', Direction: 'In', Priority: 5, Type: 'ACL' }],
      },
    });
    const { Policies } = (requests[3]?.body ?? {}) as HNSEndpoint;
    assert.deepEqual(Policies?.[1], { Port: '8080', Type: 'PROXY' });
    await assert.rejects(hns.endpoints.applyAclPolicies(id, [{ Action: 'Maybe' as never }]), {
      code: 'HCS_E_INVALID_JSON',
    });
  });

  test('are made for another host, and tell what went through them', async () => {
    const stats = { BytesReceived: 1, BytesSent: 2, EndpointId: id };
    const { hns, requests } = clientOf({ ID: id }, stats);
    await hns.endpoints.createRemote({ VirtualNetwork: other });
    assert.deepEqual(requests[0]?.body, { VirtualNetwork: other, IsRemoteEndpoint: true });
    assert.deepEqual(await hns.endpoints.stats(id), stats);
    assert.equal(requests[1]?.path, `/endpointstats/${id}`);
  });
});

describe('policy lists of the first interface', () => {
  test('balance load, and lead to routes', async () => {
    const { hns, requests } = clientOf({ ID: id }, { ID: id });
    const balancer = { VIPs: ['10.0.0.9'], Protocol: 6, InternalPort: 8080, ExternalPort: 80, ILB: true };
    await hns.policyLists.addLoadBalancer([id], balancer);
    await hns.policyLists.addRoute([id], { DestinationPrefix: '10.1.0.0/16', NeedEncap: true });
    assert.deepEqual(
      requests.map(({ path, body }) => [path, body]),
      [
        ['/policylists/', { References: [`/endpoints/${id}`], Policies: [{ ...balancer, Type: 'ELB' }] }],
        [
          '/policylists/',
          {
            References: [`/endpoints/${id}`],
            Policies: [{ DestinationPrefix: '10.1.0.0/16', NeedEncap: true, Type: 'ROUTE' }],
          },
        ],
      ],
    );
  });

  test('get endpoints and lose them by being made again', async () => {
    const list = { ID: id, References: [`/endpoints/${id.toLowerCase()}`], Policies: [] };
    const { hns, requests } = clientOf(list, undefined, list, list, undefined, list);
    await hns.policyLists.addEndpoint(id, other);
    await hns.policyLists.removeEndpoint(id, id);
    assert.deepEqual(
      requests.map(({ method, body }) => [
        method,
        (body as { References?: unknown } | undefined)?.References,
      ]),
      [
        ['GET', undefined],
        ['DELETE', undefined],
        ['POST', [`/endpoints/${id.toLowerCase()}`, `/endpoints/${other}`]],
        ['GET', undefined],
        ['DELETE', undefined],
        ['POST', []],
      ],
    );
  });

  test('come back as they were when that fails', async () => {
    const list = { ID: id, References: [], Policies: [] };
    const { hns, requests } = clientOf(list, undefined, '{"Success":false,"Error":"No."}', list);
    await assert.rejects(hns.policyLists.addEndpoint(id, other), /No, E_FAIL/);
    assert.deepEqual(requests.at(-1), { method: 'POST', path: '/policylists/', body: list });
  });
});

describe('namespaces and management addresses of the first interface', () => {
  test('a namespace is made, gets endpoints, tells of them, loses them and goes', async () => {
    const ResourceList = [
      { Type: 'Endpoint', Data: { Id: other } },
      { Type: 'Container', Data: { Id: 'c1' } },
      { Type: 'Endpoint', Data: null },
    ];
    const { hns, requests } = clientOf({ ID: id }, undefined, { ID: id, ResourceList }, undefined, undefined);
    assert.equal(await hns.namespaces.create(), id);
    await hns.namespaces.addEndpoint(id, other);
    assert.deepEqual(await hns.namespaces.endpointIds(id), [other]);
    await hns.namespaces.removeEndpoint(id, other);
    await hns.namespaces.remove(id);
    assert.deepEqual(
      requests.map(({ method, path, body }) => [method, path, body]),
      [
        ['POST', '/namespaces/', {}],
        ['POST', `/namespaces/${id}/addresource`, { Type: 'Endpoint', Data: { Id: other } }],
        ['GET', `/namespaces/${id}`, undefined],
        ['POST', `/namespaces/${id}/removeresource`, { Type: 'Endpoint', Data: { Id: other } }],
        ['DELETE', `/namespaces/${id}`, undefined],
      ],
    );
  });

  test('management MAC addresses are set, read and deleted', async () => {
    const list = { MacAddressList: [{ MacAddress: '00-15-5D-00-00-01' }] };
    const { hns, requests } = clientOf(list, list, undefined, { MacAddressList: [{}] });
    const addresses = ['00-15-5D-00-00-01'];
    assert.deepEqual(await hns.managementMacs.set(addresses), addresses);
    assert.deepEqual(await hns.managementMacs.get(), addresses);
    assert.deepEqual(await hns.managementMacs.delete(), []);
    await assert.rejects(hns.managementMacs.get(), { code: 'ERROR_INVALID_DATA' });
    await assert.rejects(hns.managementMacs.set([]), {
      code: 'E_INVALIDARG',
      message: /^Cannot set the management MAC addresses: the list is empty, /,
    });
    assert.equal(requests.length, 4);
    assert.deepEqual(
      requests.slice(0, 3).map(({ method, path, body }) => [method, path, body]),
      [
        ['POST', '/accelnet/', list],
        ['GET', '/accelnet/', undefined],
        ['DELETE', '/accelnet/', undefined],
      ],
    );
  });
});
