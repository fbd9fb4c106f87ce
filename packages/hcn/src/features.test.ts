import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  isFeatureSupported,
  type NetworkFeature,
  networkFeatures,
  requireFeature,
  supportedFeatures,
} from './features.ts';

function version(text: string): { Major: number; Minor: number } {
  const [Major = 0, Minor = 0] = text.split('.').map(Number);
  return { Major, Minor };
}

/** The last version without and the first with a feature, and versions in its gaps. */
const edges: [NetworkFeature, missing: string, there: string][] = [
  ['AclRuleId', '7.1 6.9', '7.2 8.0 15.4'],
  ['ApiV1', '', '0.0 7.1 15.4'],
  ['ApiV2', '9.1 8.9', '9.2 10.0'],
  ['DSR', '9.2 10.0 10.1', '9.3 9.99 10.2 11.0'],
  ['Slash32EndpointPrefixes', '9.2 10.3', '9.3 10.4'],
  ['L4Proxy', '9.4 10.4 11.10 12.0 13.0', '9.5 10.5 11.11 12.1 13.1 14.0'],
  ['IPv6DualStack', '11.9', '11.10 12.0'],
  ['Accelnet', '15.3', '15.4 16.0'],
];

describe('features of the Host Network Service', () => {
  for (const [feature, missing, there] of edges) {
    test(`${feature} is in ${there}, and not in ${missing || 'none'}`, () => {
      for (const text of missing.split(' ').filter(Boolean))
        assert.equal(isFeatureSupported(version(text), feature), false, text);
      for (const text of there.split(' '))
        assert.equal(isFeatureSupported(version(text), feature), true, text);
    });
  }

  test('all are in the newest version, and only the first interface is in the oldest', () => {
    assert.deepEqual(
      networkFeatures.filter((feature) => !supportedFeatures(version('15.4'))[feature]),
      [],
    );
    assert.deepEqual(
      networkFeatures.filter((feature) => supportedFeatures(version('7.1'))[feature]),
      ['ApiV1'],
    );
    assert.equal(networkFeatures.length, 23);
  });

  test('a missing one is told with the versions that have it', () => {
    requireFeature(version('10.2'), 'DSR');
    assert.throws(() => requireFeature(version('10.1'), 'DSR'), {
      code: 'ERROR_NOT_SUPPORTED',
      message:
        /^Cannot use the network feature "DSR": it needs HNS 9\.3 to 9\.x, or 10\.2 and newer, and this host has 10\.1, update Windows, /,
    });
    assert.throws(() => requireFeature(version('15.3'), 'Accelnet'), {
      message: /it needs HNS 15\.4 and newer, and this host has 15\.3/,
    });
  });
});
