/**
 * Documents of the Host Compute Service, schema 1, and their validator: the door `@hcsshim/schema/hcs-v1`.
 */
import { checkerOf } from './document-checker.ts';
import type { Documents } from './generated/hcs/v1.ts';
import { table } from './generated/hcs/v1-table.ts';

export type { CheckOptions, DocumentFault } from './document-checker.ts';
export type * from './generated/hcs/v1.ts';
export const { checkDocument, findFault } = checkerOf<Documents>(table);
