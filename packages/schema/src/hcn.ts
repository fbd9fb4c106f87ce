/**
 * Documents of the Host Compute Network service and their validator: the door `@hcsshim/schema/hcn`. Windows
 * builds are not checked, because the service gets new documents with updates of old builds too.
 */
import { checkerOf } from './document-checker.ts';
import type { Documents } from './generated/hcs/hcn.ts';
import { table } from './generated/hcs/hcn-table.ts';

export type { CheckOptions, DocumentFault } from './document-checker.ts';
export type * from './generated/hcs/hcn.ts';
export const { checkDocument, findFault } = checkerOf<Documents>(table);
