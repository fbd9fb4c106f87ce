import type { DocumentTable } from './document-table.ts';
import { table } from './generated/hcs/v2-table.ts';
import { guestRequestTable } from './guest-request-table.ts';
import { resources } from './resource-paths.ts';

/** The published documents of schema 2, and what requests for changes hold, which no schema tells. */
export const hcsTable: DocumentTable = {
  ...table,
  ...guestRequestTable,
  NoSettings: { fields: {} },
  ModifySettingRequest: {
    fields: { ...table.ModifySettingRequest?.fields, GuestRequest: 'GuestRequest' },
    resources,
  },
};
