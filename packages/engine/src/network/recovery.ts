import { existsSync, readFileSync, statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import {
  deleteLinkIfThere,
  isNamespaceMount,
  listLinks,
  listNftTables,
  NetlinkSocket,
  networkNamespaceInode,
} from '@hcsshim/linux/netlink';
import { reconnect } from './attachment.ts';
import { filterNetwork, makeNetwork, removeNetwork } from './bridge.ts';
import { letGo } from './endpoints.ts';
import { filterByAcls, filterByEndpoints, filterByLoadBalancer, removeLoadBalancer } from './filters.ts';
import { detachInterface } from './interface.ts';
import {
  bridgeName,
  loadBalancerTableName,
  networkTableName,
  portName,
  subjectOfAlias,
} from './link-names.ts';
import { endpointsInNamespace, endpointsOfNetwork } from './lookups.ts';
import { describe, makeNamespace, removeNamespace } from './namespaces.ts';
import type { NetworkState, Subject } from './network-state.ts';
import { Refusal } from './refusal.ts';
import { makeRoutes } from './routes.ts';

/** Where the kernel's objects are. */
interface Host {
  bootId: string;
  /** Inode numbers. */
  networkNamespace: number;
  mountNamespace: number;
}

/**
 * Brings the kernel to what the records say, after a change that was broken off and before the first one of a
 * process: the record decides. What the kernel has and no record tells of goes; what a record tells of and the kernel
 * has not is made again, which after a reboot is all of it. What cannot be made is told, and its record stays.
 *
 * @param pending What a change was about whose maker has died.
 * @param log Told in a sentence what has been done.
 */
export function recover(
  state: NetworkState,
  pending: Subject | undefined,
  log: (message: string) => void,
): void {
  assertSameHost(state);
  if (pending !== undefined && state.read(pending.kind, pending.id) === undefined)
    removeUnrecorded(state, pending, log);
  removeLeftovers(state, log);
  // Networks first, then namespaces, for what connects the two.
  makeMissing(state, log);
  if (pending !== undefined) followRecords(state, pending, log);
  if (pending !== undefined) tellWhatWatchersMissed(state, pending);
}

/**
 * Bridges of another network namespace cannot be seen from here, nor namespaces that are mounted in another mount
 * namespace: they would be made a second time, and the first ones be lost.
 */
function assertSameHost(state: NetworkState): void {
  const here: Host = {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    networkNamespace: networkNamespaceInode(),
    mountNamespace: statSync('/proc/thread-self/ns/mnt').ino,
  };
  const recorded = state.readOwn('host.json') as Partial<Host> | undefined;
  if (isDeepStrictEqual(recorded, here)) return;
  const isEmpty = state.list('networks').length + state.list('namespaces').length === 0;
  if (recorded?.bootId === here.bootId && !isEmpty) {
    const kind = recorded.networkNamespace === here.networkNamespace ? 'mount' : 'network';
    const [there, own] = [recorded, here].map((host) => host[`${kind}Namespace`]);
    throw new Refusal(
      'HCS_E_INVALID_STATE',
      `the networks in "${state.root}" are in ${kind} namespace ${there} and this process is in ${own}, run it there or with another HCSSHIM_STATE`,
    );
  }
  state.writeOwn('host.json', here);
}

function removeUnrecorded(state: NetworkState, { kind, id }: Subject, log: (message: string) => void): void {
  const removals: Record<Subject['kind'], () => void> = {
    networks: () => removeNetwork(id),
    endpoints: () => {
      detachInterface(id);
      letGo(state, id);
    },
    namespaces: () => removeNamespace(state, id),
    'load-balancers': () => removeLoadBalancer(id),
    routes: () => {},
  };
  removals[kind]();
  log(`Removed what a broken off change had left of "${id}" (${kind})`);
}

/** What carries the mark of this state directory, and is in none of its records: of a directory that was wiped. */
function removeLeftovers(state: NetworkState, log: (message: string) => void): void {
  using socket = NetlinkSocket.open('route');
  for (const link of listLinks(socket)) {
    const owner = link.alias === undefined ? undefined : subjectOfAlias(link.alias, state.root);
    if (owner === undefined) continue;
    const isRecorded =
      owner.subject === 'network'
        ? state.read('networks', owner.id) !== undefined
        : state.read('endpoints', owner.id)?.attachment !== undefined;
    if (isRecorded) continue;
    if (owner.subject === 'network') removeNetwork(owner.id);
    else deleteLinkIfThere(socket, link.name);
    log(`Removed the link "${link.name}", which was left of ${owner.subject} "${owner.id}"`);
  }
  for (const id of state.namespaceFiles()) {
    if (state.read('namespaces', id) !== undefined) continue;
    removeNamespace(state, id);
    log(`Removed the network namespace that was left of namespace "${id}"`);
  }
}

function makeMissing(state: NetworkState, log: (message: string) => void): void {
  const make = (what: string, work: (undo: DisposableStack) => void): void => {
    try {
      using undo = new DisposableStack();
      work(undo);
      undo.move();
      log(`Made ${what} again, which was missing`);
    } catch (error) {
      log(`Cannot make ${what} again: ${(error as Error).message}`);
    }
  };
  const { links, tables } = look(state);
  for (const { document: network } of state.list('networks')) {
    const endpoints = endpointsOfNetwork(state, network.ID);
    if (!links.has(bridgeName(network.ID)))
      make(`network "${network.ID}"`, (undo) => {
        removeNetwork(network.ID);
        makeNetwork(network, endpoints, state.root, undo);
      });
    else if (needsTable(network.Type) && !tables.has(networkTableName(network.ID)))
      make(`the packet filter of network "${network.ID}"`, () => filterNetwork(network, endpoints));
  }
  for (const record of state.list('namespaces')) {
    const { ID: id, Type: type } = record.document;
    const path = state.namespacePath(id);
    if (type !== 'Host' || (existsSync(path) && isNamespaceMount(path))) continue;
    make(`namespace "${id}"`, (undo) => {
      removeNamespace(state, id);
      makeNamespace(state, id, undo);
      state.write('namespaces', { ...record, document: describe(state, record.document) }, undo);
    });
  }
  // A bridge or a namespace that was missing has taken links along.
  const { links: left } = look(state);
  for (const record of state.list('endpoints')) {
    const { attachment, document } = record;
    if (attachment !== undefined && !left.has(portName(document.ID)))
      make(`the link of endpoint "${document.ID}"`, () => {
        detachInterface(document.ID);
        reconnect(state, record, attachment);
      });
  }
  for (const { document } of state.list('load-balancers')) {
    if ((document.PortMappings ?? []).length > 0 && !tables.has(loadBalancerTableName(document.ID)))
      make(`load balancer "${document.ID}"`, () => filterByLoadBalancer(state, document));
  }
}

/** What is there may still be as it was before the change, or as it should have become. */
function followRecords(state: NetworkState, { kind }: Subject, log: (message: string) => void): void {
  const attempt = (what: string, work: () => void): void => {
    try {
      work();
    } catch (error) {
      log(`Cannot bring ${what} up to date: ${(error as Error).message}`);
    }
  };
  if (kind === 'endpoints') {
    for (const { document } of state.list('networks'))
      attempt(`the packet filter of network "${document.ID}"`, () => filterByEndpoints(state, document.ID));
    for (const { document } of state.list('namespaces'))
      if (endpointsInNamespace(state, document.ID).length > 0)
        attempt(`the packet filter of namespace "${document.ID}"`, () => filterByAcls(state, document.ID));
  }
  if (kind === 'load-balancers')
    for (const { document } of state.list(kind))
      attempt(`load balancer "${document.ID}"`, () => filterByLoadBalancer(state, document));
  if (kind === 'routes')
    for (const record of state.list('endpoints'))
      attempt(`the routes of endpoint "${record.document.ID}"`, () => makeRoutes(state, record));
}

/** Internal networks have a packet filter too; the others are bridges alone. */
function needsTable(type: string | undefined): boolean {
  return type === 'NAT' || type === 'Internal';
}

/** Links without the mark were being made when their maker died. */
function look(state: NetworkState): { links: Set<string>; tables: Set<string> } {
  using route = NetlinkSocket.open('route');
  using filter = NetlinkSocket.open('netfilter');
  return {
    links: new Set(
      listLinks(route)
        .filter(({ alias = '' }) => subjectOfAlias(alias, state.root) !== undefined)
        .map(({ name }) => name),
    ),
    tables: new Set(listNftTables(filter, 'ipv4')),
  };
}

/** The maker may have died between the record and the word about it. */
function tellWhatWatchersMissed(state: NetworkState, { kind, id }: Subject): void {
  if (kind !== 'networks' && kind !== 'namespaces') return;
  const [created, deleted] =
    kind === 'networks'
      ? (['NetworkCreate', 'NetworkDelete'] as const)
      : (['NamespaceCreate', 'NamespaceDelete'] as const);
  const last = state.events.lastOf(id);
  const isThere = state.read(kind, id) !== undefined;
  if (isThere && last !== created) state.events.append(created, id);
  const wasThere = last === created || last === 'NetworkPreDelete';
  if (!isThere && wasThere) state.events.append(deleted, id);
}
