/**
 * Documents of the Host Networking Service, schema 1, and their validator: the door `@hcsshim/schema/hns`.
 */
import { checkerOf } from './document-checker.ts';
import type { Documents } from './generated/hcs/hns.ts';
import { table } from './generated/hcs/hns-table.ts';

export type { CheckOptions, DocumentFault } from './document-checker.ts';
export type * from './generated/hcs/hns.ts';
export const { checkDocument, findFault } = checkerOf<Documents>(table);
