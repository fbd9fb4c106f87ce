/**
 * Documents of the Host Compute Service, schema 2, and their validator. A door of its own,
 * `@hcsshim/schema/hcs`, because the table is loaded with it.
 */
import { checkerOf } from './document-checker.ts';
import type { Documents } from './generated/hcs/v2.ts';
import { hcsTable } from './hcs-table.ts';

export type { CheckOptions, DocumentFault } from './document-checker.ts';
export type * from './generated/hcs/v2.ts';
export const { checkDocument, findFault } = checkerOf<Documents>(hcsTable);
